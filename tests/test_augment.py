"""Augmentation against per-example references in NumPy and Pillow; each law for each entry of the table."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance
from torch import Generator, Tensor

from deepglass.data import augment as augmenting
from deepglass.data.augment import AUGMENTATIONS, augment, color, cutout, flip, mix_examples, rotate, shift
from deepglass.errors import RecipeError

NONE: dict[str, Callable[[Tensor, Generator], Tensor]] = {
    "flip": lambda x, g: flip(x, g, share=0.0),
    "shift": lambda x, g: shift(x, g, share=0.0),
    "cutout": lambda x, g: cutout(x, g, share=0.0),
    "rotate": lambda x, g: rotate(x, g, degrees=0.0, zoom=0.0),
    "color": lambda x, g: color(x, g, brightness=0.0, contrast=0.0, saturation=0.0),
}
NAMES = tuple(AUGMENTATIONS)


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def pictures(count: int = 6, channels: int = 3, height: int = 16, width: int = 20) -> Tensor:
    return torch.randint(0, 256, (count, channels, height, width), dtype=torch.uint8, generator=seeded(1))


def floats(picture: Tensor) -> Tensor:
    return picture if picture.is_floating_point() else picture.float() / 255


@pytest.mark.parametrize("name", NAMES)
def test_no_strength_changes_nothing(name: str) -> None:
    assert torch.equal(NONE[name](pictures(), seeded()), pictures())
    assert torch.equal(NONE[name](floats(pictures()), seeded()), floats(pictures()))


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("name", NAMES)
def test_the_generator_alone_decides(name: str, channels: int) -> None:
    source = pictures(8, channels)
    kept = source.clone()
    before = torch.random.get_rng_state()
    first, again, other = (AUGMENTATIONS[name](source, seeded(seed)) for seed in (5, 5, 6))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(source, kept), "the stored pictures are not written to"
    assert first.shape == source.shape


@pytest.mark.parametrize("name", NAMES)
def test_examples_differ_from_each_other(name: str) -> None:
    same = pictures(1).expand(40, -1, -1, -1).contiguous()
    assert len({found.numpy().tobytes() for found in AUGMENTATIONS[name](same, seeded())}) > 1


@pytest.mark.parametrize("name", NAMES)
def test_bytes_and_floats_are_changed_alike(name: str) -> None:
    first, second = AUGMENTATIONS[name](pictures(), seeded()), AUGMENTATIONS[name](floats(pictures()), seeded())
    assert second.dtype == torch.float32
    torch.testing.assert_close(floats(first), second, rtol=0, atol=0.5 / 255 + 1e-6)
    assert (first.dtype == torch.uint8) == (name in ("flip", "shift", "cutout"))


def test_flip_mirrors_whole_pictures_half_of_the_time() -> None:
    source = pictures(400, 1, 4, 4)
    found = flip(source, seeded())
    mirrored = sum(np.array_equal(new, old[:, :, ::-1]) for new, old in zip(found.numpy(), source.numpy(), strict=True))
    kept = sum(np.array_equal(new, old) for new, old in zip(found.numpy(), source.numpy(), strict=True))
    assert mirrored + kept == 400 and 160 < mirrored < 240


@pytest.mark.parametrize(("height", "width"), [(16, 20), (9, 8), (2, 30)])
def test_shift_is_a_window_of_the_mirrored_picture(height: int, width: int) -> None:
    source = pictures(60, 2, height, width)
    most = round(min(height, width) * 0.25)
    found = shift(source, seeded(), share=0.25).numpy()
    places: set[tuple[int, int]] = set()
    for old, new in zip(source.numpy(), found, strict=True):
        padded = np.pad(old, ((0, 0), (most, most), (most, most)), mode="reflect")
        fits = [(y, x) for y in range(2 * most + 1) for x in range(2 * most + 1)
                if np.array_equal(padded[:, y : y + height, x : x + width], new)]  # fmt: skip
        assert fits
        places.update(fits)
    assert len(places) > (2 * most + 1) ** 2 / 3


def test_rotate_is_the_turn_and_zoom_of_each_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    angles, factors = [20.0, -7.0, 0.0, 13.0], [1.0, 1.1, 0.9, 0.95]
    draws = iter([torch.tensor(angles), torch.tensor(factors)])
    monkeypatch.setattr(augmenting, "_between", lambda *_: next(draws))
    rows, columns = np.mgrid[0:24, 0:32]
    smooth = 127 + 60 * np.sin(rows / 4) + 60 * np.cos(columns / 5)
    source = torch.from_numpy(smooth.astype(np.uint8))[None, None].expand(4, 1, 24, 32).contiguous()
    found = rotate(source, seeded()).numpy()[:, 0] * 255
    for picture, angle, factor in zip(found, angles, factors, strict=True):
        turn = np.deg2rad(angle)
        a, b = np.cos(turn) / factor, -np.sin(turn) / factor
        d, e = np.sin(turn) / factor, np.cos(turn) / factor
        x, y = 16, 12
        matrix = (a, b, x - a * x - b * y, d, e, y - d * x - e * y)
        expected = Image.fromarray(source[0, 0].numpy().astype(np.float32)).transform(
            (32, 24), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR
        )
        inner = np.asarray(expected)[7:-7, 7:-7]
        assert np.abs(picture[7:-7, 7:-7] - inner).max() < 0.6


def test_color_is_brightness_contrast_and_saturation_of_each_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    factors = {"bright": [1.2, 0.8, 1.0], "strong": [0.8, 1.2, 1.0], "vivid": [1.2, 0.9, 0.0]}
    draws = iter([torch.tensor(values) for values in factors.values()])
    monkeypatch.setattr(augmenting, "_between", lambda *_: next(draws))
    source = pictures(3) // 2 + 60  # far from black and white, so that nothing is clipped
    found = color(source, seeded()).numpy() * 255
    for place, picture in enumerate(source.permute(0, 2, 3, 1).numpy()):
        image = Image.fromarray(picture)
        image = ImageEnhance.Color(image).enhance(factors["vivid"][place])
        image = ImageEnhance.Contrast(image).enhance(factors["strong"][place])
        image = ImageEnhance.Brightness(image).enhance(factors["bright"][place])
        expected = np.asarray(image).transpose(2, 0, 1).astype(float)
        assert np.abs(found[place] - expected).max() < 3.0  # Pillow rounds three times


def test_color_stays_within_black_and_white_and_leaves_gray_gray() -> None:
    found = color(pictures(), seeded(), brightness=0.9, contrast=0.9, saturation=0.9)
    assert found.min() >= 0 and found.max() <= 1
    gray = pictures(4, 1).expand(4, 3, 16, 20)
    changed = color(gray, seeded())
    torch.testing.assert_close(changed[:, 0], changed[:, 2], rtol=0, atol=1e-5)


def test_cutout_covers_one_square_with_the_mean() -> None:
    source = pictures(50, 3, 16, 16)
    found = cutout(source, seeded(), share=0.5).numpy()
    sizes = set()
    for old, new in zip(source.numpy(), found, strict=True):
        changed = (old != new).any(0)
        rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
        box = new[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert (box == np.rint(old.mean((1, 2)))[:, None, None]).all()
        assert np.array_equal(old[:, ~changed], new[:, ~changed])
        sizes.add((len(rows), len(columns)))
    assert max(max(size) for size in sizes) == 8 and min(min(size) for size in sizes) >= 4


def test_names_in_any_order_and_unknown_names() -> None:
    found = augment(pictures(), ("color", "flip", "shift"), seeded())
    assert torch.equal(found, augment(pictures(), ("shift", "color", "flip"), seeded()))
    assert torch.equal(augment(pictures(), (), seeded()), pictures())
    with pytest.raises(RecipeError, match="rotate"):
        augment(pictures(), ("rotat",), seeded())


def both(mixup: float, cutmix: float, count: int = 300) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    source = torch.rand(count, 2, 12, 10, generator=seeded(3))
    onehot = torch.eye(count)  # each example a class of its own: the target names the partner
    mixed, shares = mix_examples(source, onehot, mixup=mixup, cutmix=cutmix, generator=seeded(4))
    return source, onehot, mixed, shares


def partner_and_share(shares: Tensor, place: int) -> tuple[int, float]:
    share = float(shares[place, place])
    other = shares[place].clone()
    other[place] = -1.0
    return int(other.argmax()), share


def test_mixup_mixes_pictures_and_labels_in_the_same_shares() -> None:
    source, _, mixed, shares = both(0.4, 0.0)
    for place in range(len(source)):
        other, share = partner_and_share(shares, place)
        if share < 1:
            expected = share * source[place] + (1 - share) * source[other]
            torch.testing.assert_close(mixed[place], expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(shares.sum(1), torch.ones(len(source)))


def test_cutmix_labels_have_the_share_of_the_area_really_pasted() -> None:
    source, _, mixed, shares = both(0.0, 1.0)
    pasted_any = 0
    for place in range(len(source)):
        other, share = partner_and_share(shares, place)
        if share == 1:
            continue
        own, pasted = (mixed[place] == source[place]).all(0), (mixed[place] == source[other]).all(0)
        assert (own | pasted).all()
        assert float(own.double().mean()) == pytest.approx(share, abs=1e-6)
        rows, columns = torch.where(pasted.any(1))[0], torch.where(pasted.any(0))[0]
        if len(rows):
            assert pasted[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all(), "one box"
            pasted_any += 1
    assert pasted_any > len(source) / 2


@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.0])
def test_lambda_has_the_moments_of_the_beta_distribution(alpha: float) -> None:
    _, _, _, shares = both(alpha, 0.0, 3000)
    drawn = shares.diagonal()
    assert float(drawn.mean()) == pytest.approx(0.5, abs=0.03)
    assert float(drawn.var()) == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.1)


def test_with_both_a_coin_decides_and_nothing_is_done_without_either() -> None:
    source, _, mixed, shares = both(0.4, 1.0)
    blended = 0
    for place in range(len(source)):
        other, _ = partner_and_share(shares, place)
        whole = ((mixed[place] == source[place]) | (mixed[place] == source[other])).all()
        blended += not whole
    assert 90 < blended < 210
    source, onehot, mixed, shares = both(0.0, 0.0)
    assert torch.equal(mixed, source) and torch.equal(shares, onehot)
    with pytest.raises(RecipeError, match="below 0"):
        both(-1.0, 0.0)


def test_mixing_is_decided_by_the_generator_alone() -> None:
    before = torch.random.get_rng_state()
    state = np.random.get_state()[1].tobytes()  # type: ignore[union-attr]
    first, second = both(0.4, 1.0), both(0.4, 1.0)
    assert torch.equal(first[2], second[2]) and torch.equal(first[3], second[3])
    assert torch.equal(torch.random.get_rng_state(), before)
    assert np.random.get_state()[1].tobytes() == state  # type: ignore[union-attr]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_every_augmentation_runs_on_a_gpu() -> None:
    source = pictures().cuda()
    generator = Generator("cuda").manual_seed(0)
    found = augment(source, NAMES, generator)
    mixed, _ = mix_examples(found, torch.eye(6).cuda(), mixup=0.2, cutmix=1.0, generator=generator)
    assert mixed.device.type == "cuda" and mixed.isfinite().all()
