"""One picture file of every kind, good and bad, against Pillow and the closed form."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepglass.data.decoding import Decoded, Shape, Unread, decode
from deepglass.data.images import encode_pictures, picture_names
from deepglass.errors import DeepglassError, PictureError
from picture_files import build, encoded, every, noise, read, texts


def shaped(raw: bytes, channels: int = 3, height: int = 12, width: int = 12) -> np.ndarray:
    found = decode(raw, "x", Shape(channels, height, width))
    assert isinstance(found, Decoded), found
    return found.pixels


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    deep = np.linspace(0, 65535, 144).astype(np.uint16).reshape(12, 12)
    assert np.array_equal(shaped(encoded(deep), channels=1)[0], np.rint(deep / 257).astype(np.uint8))
    floats = np.linspace(0, 1, 144, dtype=np.float32).reshape(12, 12)
    assert np.array_equal(shaped(encoded(floats, "tiff"), channels=1)[0], np.rint(floats * 255).astype(np.uint8))


def test_inks_palettes_and_transparency_become_plain_color() -> None:
    plain = Image.fromarray(noise(1))
    stream = io.BytesIO()
    plain.convert("CMYK").save(stream, "jpeg", quality=95)
    difference = np.abs(shaped(stream.getvalue()).transpose(1, 2, 0).astype(int) - np.asarray(plain))
    assert difference.mean() < 40 < np.abs(np.asarray(plain).astype(int) - 128).mean(), "inks are not inverted"
    palette = plain.quantize(16)
    stream = io.BytesIO()
    palette.save(stream, "png")
    assert np.array_equal(shaped(stream.getvalue()).transpose(1, 2, 0), np.asarray(palette.convert("RGB")))
    clear = np.dstack([noise(2), np.full((12, 12), 0, np.uint8)])
    clear[:6, :, 3] = 255
    found = shaped(encoded(clear)).transpose(1, 2, 0)
    assert np.array_equal(found[:6], clear[:6, :, :3]) and (found[6:] == 255).all()
    clear[:, :, 3] = 51
    expected = np.rint(clear[:, :, :3] * 0.2 + 255 * 0.8)
    assert np.abs(shaped(encoded(clear)).transpose(1, 2, 0) - expected).max() <= 1


@pytest.mark.parametrize("turn", range(1, 9))
def test_the_camera_orientation_is_applied(turn: int) -> None:
    upright = np.zeros((12, 12), np.uint8)
    upright[:6, :6], upright[:6, 6:], upright[6:, :6] = 250, 160, 80
    stored = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1], 5: upright.T,
        6: np.rot90(upright, 1), 7: np.rot90(upright, 2).T, 8: np.rot90(upright, -1),
    }[turn]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = turn
    raw = encoded(np.ascontiguousarray(stored), "jpeg", quality=100, exif=exif)
    assert np.abs(shaped(raw, channels=1)[0].astype(int) - upright).max() < 12


def test_a_large_jpeg_is_shrunk_and_its_middle_cut_out() -> None:
    wide = np.zeros((400, 1200, 3), np.uint8)
    wide[:, 400:800] = (200, 100, 50)
    found = shaped(encoded(wide, "jpeg", quality=95), height=32, width=32)
    inner = found[:, 2:-2, 3:-3].reshape(3, -1)
    assert np.abs(inner.mean(1) - (200, 100, 50)).max() < 4
    assert found.shape == (3, 32, 32)


def break_(folder: Path, how: str) -> str:
    """Spoil one file of the folder; its name."""
    path = folder / "a" / "000.png"
    good = path.read_bytes()
    path.write_bytes({"zero": b"", "truncated": good[: len(good) // 2], "corrupt": b"\x00\xffgarbage" * 30,
                      "text": b"hello, I am no picture"}[how])  # fmt: skip
    return "a/000.png"


@pytest.mark.parametrize("how", ["zero", "truncated", "corrupt", "text"])
def test_a_bad_picture_among_good_ones_is_named_and_left_out(tmp_path: Path, how: str) -> None:
    folder = build(tmp_path, {"a": 15, "b": 15})
    name = break_(folder, how)
    data = read(folder)
    names = picture_names(folder) or []
    for row, (pixels, _) in every(data).items():
        with Image.open(folder / names[row]) as image:
            assert np.array_equal(pixels.permute(1, 2, 0).numpy(), np.asarray(image))
    assert len(every(data)) == 29 and f"1 bad picture(s) left out: {name}: " in texts(data)
    assert names.index(name) not in every(data)
    part, notes = encode_pictures(data.schema, folder, with_target=True)
    assert len(part) == 29 and notes[0].level == "trouble"


@pytest.mark.parametrize("how", ["zero", "truncated", "corrupt", "text"])
def test_many_bad_pictures_are_an_error_that_names_them(tmp_path: Path, how: str) -> None:
    folder = build(tmp_path, {"a": 10, "b": 10})
    break_(folder, how)
    (folder / "b" / "004.png").write_bytes(b"")
    with pytest.raises(PictureError, match=r"2 of 20 pictures cannot be read \(a/000.png: .*; b/004.png: the file is"):
        read(folder)
    with pytest.raises(PictureError, match="1 of 1 pictures cannot be read"):
        data = read(build(tmp_path / "good", {"a": 5, "b": 5}))
        encode_pictures(data.schema, folder / "b" / "004.png", with_target=False)


def bomb() -> bytes:
    """A small PNG that claims to be 20,000 x 20,000 pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


@pytest.mark.parametrize("limit", [89_478_485, 300_000_000])
def test_a_decompression_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    folder = build(tmp_path, {"a": 15, "b": 15})
    (folder / "b" / "bomb.png").write_bytes(bomb())
    with pytest.raises(PictureError, match=rf"b/bomb.png: 400,000,000 pixels .* at most {limit:,}"):
        read(folder)


def test_an_animation_gives_its_first_frame_and_says_so(tmp_path: Path) -> None:
    folder = build(tmp_path, {"a": 8, "b": 8})
    frames = [Image.fromarray(np.full((12, 12, 3), shade, np.uint8)) for shade in (10, 200)]
    frames[0].save(folder / "a" / "moving.gif", save_all=True, append_images=frames[1:], duration=50)
    data = read(folder)
    place = (picture_names(folder) or []).index("a/moving.gif")
    assert every(data)[place][0].unique().tolist() == [10]
    assert "several frames (a/moving.gif" in texts(data)


def test_errors_are_ours_whatever_the_bytes(tmp_path: Path) -> None:
    generator = np.random.default_rng(7)
    good = encoded(noise(0), "jpeg"), encoded(noise(1)), encoded(noise(2), "bmp"), encoded(noise(3), "gif")
    for number in range(150):
        raw = bytearray(good[number % 4])
        for _ in range(6):
            raw[generator.integers(len(raw))] = generator.integers(256)
        try:
            found = decode(bytes(raw), "x", Shape(3, 12, 12))
        except DeepglassError:
            continue
        assert isinstance(found, Unread) or found.pixels.shape == (3, 12, 12)
