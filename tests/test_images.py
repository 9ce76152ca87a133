"""Pictures of every kind, good and bad, against Pillow, NumPy and the closed form."""

from __future__ import annotations

import gzip
import io
import json
import os
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from deepglass.data import albums
from deepglass.data.archives import open_shelf
from deepglass.data.decoding import Decoded, Shape, Unread, decode
from deepglass.data.images import encode_pictures, picture_names, read_pictures
from deepglass.data.labels import code_labels, fit_target, understand_labels
from deepglass.data.packed import read_cifar, read_idx
from deepglass.data.pixels import pixel_statistics
from deepglass.data.schema import Data, Schema, Target, Wishes
from deepglass.errors import DeepglassError, PictureError, RecipeError, SourceError, TargetError

SHARED = os.environ.get("DEEPGLASS_DATA")


def noise(seed: int, height: int = 12, width: int = 12, channels: int = 3) -> np.ndarray:
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def encoded(array: np.ndarray, kind: str = "png", **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, kind, **options)
    return stream.getvalue()


def build(folder: Path, classes: dict[str, int], **size: int) -> Path:
    seed = 0
    for name, count in classes.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            (folder / name / f"{number:03}.png").write_bytes(encoded(noise(seed, **size)))
            seed += 1
    return folder


def read(path: Path, **wishes: object) -> Data:
    return read_pictures(path, Wishes(**wishes), name=path.name)  # type: ignore[arg-type]


def texts(data: Data) -> str:
    return "\n".join(note.text for note in data.notes)


def every(data: Data) -> dict[int, tuple[torch.Tensor, int]]:
    parts = (data.train, data.valid, data.test)
    return {
        int(row): (pixels, int(label))
        for part in parts
        for row, pixels, label in zip(part.rows, part.inputs[0], part.target, strict=True)
    }


def test_a_folder_gives_the_very_pixels_each_with_its_class(tmp_path: Path) -> None:
    folder = build(tmp_path / "pets", {"cat": 20, "dog": 20})
    data = read(folder)
    names = picture_names(folder)
    assert names is not None
    found = every(data)
    assert len(found) == 40 and data.schema.target.classes == ("cat", "dog")
    for row, (pixels, label) in found.items():
        with Image.open(folder / names[row]) as image:
            assert np.array_equal(pixels.permute(1, 2, 0).numpy(), np.asarray(image))
        assert names[row].startswith(data.schema.target.classes[label])


def test_mean_and_spread_are_those_of_the_training_part_alone(tmp_path: Path) -> None:
    data = read(build(tmp_path, {"a": 12, "b": 12}))
    entry = data.schema.inputs[0]
    pixels = data.train.inputs[0].double().numpy() / 255
    np.testing.assert_allclose(entry.mean, pixels.mean((0, 2, 3)), atol=1e-12)
    np.testing.assert_allclose(entry.std, pixels.std((0, 2, 3)), atol=1e-12)
    floats = np.random.default_rng(0).random((5, 2, 3, 4)).astype(np.float32)
    mean, std = pixel_statistics(floats, np.array([0, 2, 4]))
    np.testing.assert_allclose(mean, floats[[0, 2, 4]].mean((0, 2, 3)), atol=1e-6)
    np.testing.assert_allclose(std, floats[[0, 2, 4]].std((0, 2, 3)), atol=1e-6)


def test_the_schema_survives_json_and_reads_the_same_again(tmp_path: Path) -> None:
    folder = build(tmp_path, {"a": 10, "b": 10})
    data = read(folder)
    schema = Schema.from_json(json.loads(json.dumps(data.schema.to_json())))
    assert schema == data.schema
    part, notes = encode_pictures(schema, folder, with_target=True)
    assert notes == ()
    for row, pixels, label in zip(part.rows, part.inputs[0], part.target, strict=True):
        was, answer = every(data)[int(row)]
        assert torch.equal(pixels, was) and int(label) == answer


@pytest.mark.parametrize("pack", ["tar", "tar.gz", "zip"])
def test_an_archive_is_read_as_the_folder_is(tmp_path: Path, pack: str) -> None:
    folder = build(tmp_path / "set", {"train/a": 9, "train/b": 9, "test/a": 3, "test/b": 3})
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / "train" / "a" / "Thumbs.db").write_bytes(b"x")
    packed = tmp_path / f"set.{pack}"
    if pack == "zip":
        with zipfile.ZipFile(packed, "w") as archive:
            for file in sorted(folder.rglob("*"), reverse=True):
                archive.write(file, file.relative_to(tmp_path))
    else:
        with tarfile.open(packed, "w:gz" if pack == "tar.gz" else "w") as archive:
            archive.add(folder, "./set")
    before = sorted(tmp_path.rglob("*"))
    first, second = read(folder), read(packed)
    assert sorted(tmp_path.rglob("*")) == before, "nothing is unpacked to disk"
    assert first.schema == second.schema
    assert len(first.test) == 6 and len(first.train) + len(first.valid) == 18
    for name in ("train", "valid", "test"):
        assert torch.equal(first.part(name).inputs[0], second.part(name).inputs[0])
        assert torch.equal(first.part(name).target, second.part(name).target)


def test_official_parts_are_kept_and_the_rest_cut_from_train_by_class(tmp_path: Path) -> None:
    folder = build(tmp_path / "a", {"train/x": 40, "train/y": 20, "test/x": 5, "test/y": 6})
    data = read(folder, valid=0.1)
    names = picture_names(folder) or []
    assert all(names[row].startswith("test/") for row in data.test.rows)
    assert torch.bincount(data.valid.target).tolist() == [4, 2]
    assert "test part is kept, valid is cut" in texts(data)
    whole = read(build(tmp_path / "b", {"Train/x": 5, "Train/y": 5, "val/x": 2, "val/y": 3, "test/x": 1, "test/y": 1}))
    assert [len(whole.train), len(whole.valid), len(whole.test)] == [10, 5, 2]
    lacking = read(build(tmp_path / "c", {"train/x": 20, "train/y": 20, "valid/x": 2, "valid/y": 3}), test=0.25)
    assert [len(lacking.train), len(lacking.valid), len(lacking.test)] == [30, 5, 10]


def test_wrappers_deeper_folders_litter_and_loose_pictures(tmp_path: Path) -> None:
    folder = build(tmp_path / "outer", {"inner/cat/2024": 10, "inner/dog": 10, "inner/empty": 0, "inner/.hidden": 3})
    (folder / "inner" / "cat" / "notes.txt").write_text("no picture")
    (folder / "inner" / "loose.png").write_bytes(encoded(noise(99)))
    data = read(folder)
    assert data.schema.target.classes == ("cat", "dog") and len(every(data)) == 20
    assert "1 pictures lie in no class folder" in texts(data)
    assert "hold no picture and are no class: empty" in texts(data)


def test_the_same_picture_in_two_parts_is_told(tmp_path: Path) -> None:
    folder = build(tmp_path, {"train/a": 8, "train/b": 8, "test/a": 4, "test/b": 4})
    assert "bit for bit" not in texts(read(folder))
    (folder / "test" / "a" / "000.png").write_bytes((folder / "train" / "a" / "001.png").read_bytes())
    assert "1 picture(s) of valid or test are also in an earlier part" in texts(read(folder))


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


def test_an_animation_gives_its_first_frame_and_says_so(tmp_path: Path) -> None:
    folder = build(tmp_path, {"a": 8, "b": 8})
    frames = [Image.fromarray(np.full((12, 12, 3), shade, np.uint8)) for shade in (10, 200)]
    frames[0].save(folder / "a" / "moving.gif", save_all=True, append_images=frames[1:], duration=50)
    data = read(folder)
    place = (picture_names(folder) or []).index("a/moving.gif")
    assert every(data)[place][0].unique().tolist() == [10]
    assert "several frames (a/moving.gif" in texts(data)


def test_gray_stays_one_channel_only_where_all_are_gray(tmp_path: Path) -> None:
    gray = build(tmp_path / "gray", {"a": 6, "b": 6}, channels=1)
    assert read(gray).schema.inputs[0].shape == (1, 12, 12)
    for number in range(3):
        shade = np.repeat(noise(number, channels=1)[:, :, None], 3, 2)
        (gray / "a" / f"{number:03}.png").write_bytes(encoded(shade))
    seen = read(gray)
    assert seen.schema.inputs[0].shape == (1, 12, 12) and "saved in color" in texts(seen)
    (gray / "a" / "001.png").write_bytes(encoded(noise(1)))
    assert read(gray).schema.inputs[0].shape == (3, 12, 12)


def test_a_plan_from_a_sample_is_mended_when_the_rest_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(albums, "SAMPLE", 4)
    folder = build(tmp_path, {"a": 10, "b": 10}, channels=1)
    assert read(folder).schema.inputs[0].shape == (1, 12, 12)
    (folder / "a" / "003.png").write_bytes(encoded(noise(3, 20, 30)))
    data = read(folder)
    assert data.schema.inputs[0].shape == (3, 12, 12) and len(every(data)) == 20


def test_size_is_guessed_said_and_obeyed(tmp_path: Path) -> None:
    folder = build(tmp_path / "equal", {"a": 5, "b": 5}, height=40, width=60)
    assert read(folder).schema.inputs[0].shape == (3, 40, 60)
    assert read(folder, size=16).schema.inputs[0].shape == (3, 16, 16)
    large = build(tmp_path / "large", {"a": 3, "b": 3}, height=300, width=150)
    assert read(large).schema.inputs[0].shape == (3, 256, 128) and "--set size" in texts(read(large))
    (large / "a" / "000.png").write_bytes(encoded(noise(0, 100, 110)))
    assert read(large).schema.inputs[0].shape == (3, 128, 128)


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
    assert len(every(data)) == 29 and f"1 bad picture(s) left out: {name}: " in texts(data)
    assert (picture_names(folder) or []).index(name) not in every(data)
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


def test_folders_that_cannot_be_learned_from(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="only the class folder 'a'"):
        read(build(tmp_path / "one", {"a": 5}))
    flat = build(tmp_path / "flat", {".": 5})
    with pytest.raises(PictureError, match="no class folders"):
        read(flat)
    (tmp_path / "none").mkdir()
    with pytest.raises(PictureError, match="holds no pictures"):
        read(tmp_path / "none")
    strange = build(tmp_path / "strange", {"train/a": 5, "train/b": 5, "test/c": 5})
    with pytest.raises(TargetError, match="class 'c' is in valid or test"):
        read(strange)
    with pytest.raises(RecipeError, match="no columns"):
        read(build(tmp_path / "two", {"a": 5, "b": 5}), group="patient")


def test_new_pictures_flat_single_or_with_unknown_classes(tmp_path: Path) -> None:
    data = read(build(tmp_path / "old", {"a": 8, "b": 8}))
    flat = build(tmp_path / "flat", {".": 3}, height=30, width=20, channels=1)
    part, _ = encode_pictures(data.schema, flat, with_target=False)
    assert part.inputs[0].shape == (3, 3, 12, 12) and part.target.shape == (3, 0)
    assert picture_names(flat) == ["000.png", "001.png", "002.png"]
    single, _ = encode_pictures(data.schema, flat / "001.png", with_target=False)
    assert torch.equal(single.inputs[0], part.inputs[0][1:2]) and picture_names(flat / "001.png") == ["001.png"]
    with pytest.raises(PictureError, match="no class folders"):
        encode_pictures(data.schema, flat, with_target=True)
    only_b = build(tmp_path / "b", {"b": 3})
    assert encode_pictures(data.schema, only_b, with_target=True)[0].target.tolist() == [1, 1, 1]
    with pytest.raises(TargetError, match="class 'c' was not there in training"):
        encode_pictures(data.schema, build(tmp_path / "c", {"b": 2, "c": 2}), with_target=True)
    gray = read(build(tmp_path / "gray", {"a": 8, "b": 8}, channels=1))
    _, notes = encode_pictures(gray.schema, only_b, with_target=False)
    assert "3 picture(s) in color are read as gray" in notes[0].text


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def test_idx_files(tmp_path: Path) -> None:
    pictures, labels = noise(0, 30, 8, 8).reshape(30, 8, 8), np.arange(30, dtype=np.uint8) % 3
    for stem, low, high in (("train", 0, 24), ("t10k", 24, 30)):
        (tmp_path / f"{stem}-images-idx3-ubyte").write_bytes(idx(pictures[low:high]))
        (tmp_path / f"{stem}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels[low:high])))
    data = read(tmp_path)
    assert torch.equal(data.test.inputs[0][:, 0], torch.from_numpy(pictures[24:].copy()))
    assert data.test.target.tolist() == labels[24:].tolist() and len(data.train) + len(data.valid) == 24
    one, _ = encode_pictures(data.schema, tmp_path / "t10k-images-idx3-ubyte", with_target=True)
    assert one.target.tolist() == labels[24:].tolist()
    broken = tmp_path / "broken-idx1-ubyte"
    for raw, said in (
        (b"", "not an IDX"),
        (idx(labels)[:-3], "30 values, 30 bytes; 27"),
        (b"\0\0\x08\x03\0", "broken"),
    ):
        broken.write_bytes(raw)
        with pytest.raises(SourceError, match=said):
            read_idx(broken)


def test_the_binary_cifar_tar(tmp_path: Path) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (12, 3, 32, 32), dtype=np.uint8)
    labels = np.arange(12, dtype=np.uint8) % 10
    records = np.concatenate([labels[:, None], pictures.reshape(12, -1)], 1)
    path = tmp_path / "cifar-10-binary.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        bodies = {
            "test_batch.bin": records[9:].tobytes(),
            "data_batch_1.bin": records[:4].tobytes(),
            "data_batch_2.bin": records[4:9].tobytes(),
            "batches.meta.txt": b"plane\ncar\n\n",
        }
        for name, body in bodies.items():
            entry = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            entry.size = len(body)
            archive.addfile(entry, io.BytesIO(body))
    found = read_cifar(path)
    assert np.array_equal(found.pictures, pictures) and found.labels is not None
    assert found.labels.tolist() == labels.tolist() and found.classes == ("plane", "car")
    assert found.homes.tolist() == ["train"] * 9 + ["test"] * 3


def test_archives_that_cannot_be_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def tarred(name: str) -> Path:
        path = tmp_path / "x.tar"
        with tarfile.open(path, "w") as archive:
            entry = tarfile.TarInfo(name)
            entry.size = 3
            archive.addfile(entry, io.BytesIO(b"abc"))
        return path

    for name in ("../a.png", "/etc/a.png", "a/../../b.png"):
        with pytest.raises(SourceError, match="points outside"):
            open_shelf(tarred(name), lambda _: True)
    zipped = tmp_path / "x.zip"
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("C:/a.png", b"abc")
    with pytest.raises(SourceError, match="points outside"):
        open_shelf(zipped, lambda _: True)
    linked = tmp_path / "linked.tar"
    with tarfile.open(linked, "w") as archive:
        entry = tarfile.TarInfo("a.png")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(entry)
    with open_shelf(linked, lambda _: True) as shelf:
        assert len(shelf) == 0
    monkeypatch.setattr("deepglass.data.archives.MOST_UNPACKED", 2)
    with pytest.raises(SourceError, match="at most"):
        open_shelf(tarred("a.png"), lambda _: True)
    for name in ("a.tar", "a.tar.gz", "a.zip"):
        (tmp_path / name).write_bytes(b"this is no archive at all")
        with pytest.raises(SourceError, match="cannot be read"):
            open_shelf(tmp_path / name, lambda _: True)


def test_a_broken_member_is_a_bad_picture_not_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(30):
            archive.writestr(f"{'ab'[number % 2]}/{number}.png", encoded(noise(number)))
    raw = bytearray(path.read_bytes())
    raw[120] ^= 255
    path.write_bytes(raw)
    assert "1 bad picture(s) left out: a/0.png: Bad CRC-32" in texts(read(path))


def test_labels_are_understood() -> None:
    assert understand_labels([3, 1, 10, 1]).classes == ("1", "3", "10")
    assert understand_labels(np.array([0.0, 1.0, 1.0])).classes == ("0", "1")
    assert understand_labels(torch.tensor([True, False])).classes == ("False", "True")
    assert understand_labels(np.array([0.0, 1.0, 2.0])).classes == ()
    assert understand_labels(np.eye(3, dtype=np.float32)).values.tolist() == [0, 1, 2]
    assert understand_labels(np.arange(40) * 7).classes == () and len(understand_labels(np.arange(40)).classes) == 40
    assert understand_labels(["1", "2.5"], wish="numbers").values.ravel().tolist() == [1.0, 2.5]
    for bad, said in (([1.0, float("nan")], "missing or infinite"), (["a", "a"], "only the class 'a'"),
                      ([0.5, 0.5], "nothing to predict"), (["a", None], "1 of 2 labels are missing"),
                      ([], "no labels at all")):  # fmt: skip
        with pytest.raises(TargetError, match=said):
            understand_labels(bad)
    target = read_target()
    assert code_labels(["dog", "cat"], target).tolist() == [1, 0]
    assert code_labels(np.eye(2), target).tolist() == [0, 1]


def read_target() -> Target:
    return fit_target(understand_labels(["cat", "dog"]), np.arange(2), name="y")[0]


@pytest.mark.skipif(not SHARED, reason="DEEPGLASS_DATA is not set: no MNIST at hand")
def test_mnist_has_its_published_mean_and_spread() -> None:
    data = read(Path(SHARED or "") / "mnist", valid=0.0)
    entry = data.schema.inputs[0]
    assert (len(data.train), len(data.test)) == (60_000, 10_000)
    assert entry.mean == pytest.approx((0.1307,), abs=5e-5) and entry.std == pytest.approx((0.3081,), abs=5e-5)
    assert "bit for bit" not in texts(data)


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
