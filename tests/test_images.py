"""Folders of pictures: classes, splits, sizes and channels, against Pillow and NumPy."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from deepglass.data import albums
from deepglass.data.images import encode_pictures, picture_names
from deepglass.data.pixels import pixel_statistics
from deepglass.data.schema import Schema
from deepglass.errors import PictureError, RecipeError, TargetError
from picture_files import build, encoded, every, noise, read, texts

SHARED = os.environ.get("DEEPGLASS_DATA")


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


def test_official_parts_are_kept_and_the_rest_cut_from_train_by_class(tmp_path: Path) -> None:
    folder = build(tmp_path / "a", {"train/x": 40, "train/y": 20, "test/x": 5, "test/y": 6})
    data = read(folder, valid=0.1)
    names = picture_names(folder) or []
    assert all(names[row].startswith("test/") for row in data.test.rows)
    assert sorted(every(data)) == list(range(71)), "no picture in two parts, none lost"
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
    assert "the middle cut out" in texts(data), "the one of another outline was seen"


def test_size_is_guessed_said_and_obeyed(tmp_path: Path) -> None:
    folder = build(tmp_path / "equal", {"a": 5, "b": 5}, height=40, width=60)
    assert read(folder).schema.inputs[0].shape == (3, 40, 60)
    assert read(folder, size=16).schema.inputs[0].shape == (3, 16, 16)
    large = build(tmp_path / "large", {"a": 3, "b": 3}, height=300, width=150)
    assert read(large).schema.inputs[0].shape == (3, 256, 128) and "--set size" in texts(read(large))
    (large / "a" / "000.png").write_bytes(encoded(noise(0, 100, 110)))
    assert read(large).schema.inputs[0].shape == (3, 128, 128)


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


@pytest.mark.skipif(not SHARED, reason="DEEPGLASS_DATA is not set: no MNIST at hand")
def test_mnist_has_its_published_mean_and_spread() -> None:
    data = read(Path(SHARED or "") / "mnist", valid=0.0)
    entry = data.schema.inputs[0]
    assert (len(data.train), len(data.test)) == (60_000, 10_000)
    assert entry.mean == pytest.approx((0.1307,), abs=5e-5) and entry.std == pytest.approx((0.3081,), abs=5e-5)
    assert "bit for bit" not in texts(data)
