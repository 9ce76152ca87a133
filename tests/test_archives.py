"""Archives and packed records: read as folders are, and never trusted."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from deepglass.data.archives import open_shelf
from deepglass.data.images import encode_pictures, read_pictures
from deepglass.data.packed import read_cifar, read_idx
from deepglass.data.schema import Wishes
from deepglass.errors import SourceError
from picture_files import build, encoded, noise, read, texts


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
            for file in sorted(folder.rglob("*"), reverse=True):
                archive.add(file, f"./{file.relative_to(tmp_path)}", recursive=False)
    before = sorted(tmp_path.rglob("*"))
    first, second = read(folder), read(packed)
    assert sorted(tmp_path.rglob("*")) == before, "nothing is unpacked to disk"
    assert first.schema == second.schema
    assert len(first.test) == 6 and len(first.train) + len(first.valid) == 18
    for name in ("train", "valid", "test"):
        assert torch.equal(first.part(name).inputs[0], second.part(name).inputs[0])
        assert torch.equal(first.part(name).target, second.part(name).target)


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
    whole = replace(found, labels=np.arange(12) % 2)
    data = read_pictures(whole, Wishes(valid=0.3), name="cifar10")
    assert data.schema.target.classes == ("car", "plane")
    assert [data.schema.target.classes[code] for code in data.test.target] == ["car", "plane", "car"]
    assert encode_pictures(data.schema, whole, with_target=True)[0].target[9:].tolist() == data.test.target.tolist()
