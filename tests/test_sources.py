"""Names, paths and frames find their reader; downloads are checked; what cannot be found says what is near."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from PIL import Image
from sklearn import datasets

from deepglass.data import fetch
from deepglass.data.fetch import RemoteFile, cache_folder, download, find_named, matches
from deepglass.data.schema import Wishes
from deepglass.data.sources import NAMED, READERS, example_names, read, reread, source_name
from deepglass.errors import DeepglassError, RecipeError, SourceError, StorageError

SHARED = os.environ.get("DEEPGLASS_DATA")


@pytest.mark.parametrize(("name", "rows", "task"), [
    ("digits", 1797, "multiclass"), ("iris", 150, "multiclass"), ("wine", 178, "multiclass"),
    ("breast_cancer", 569, "binary"), ("diabetes", 442, "regression"),
])  # fmt: skip
def test_embedded_sets(name: str, rows: int, task: str) -> None:
    data = read(name)
    assert len(data.train) + len(data.valid) + len(data.test) == rows
    assert data.schema.target.task == task and data.source == name == source_name(name)
    part, _ = reread(data.schema, name, with_target=True)
    order = data.test.rows
    assert torch.equal(part.inputs[0][order], data.test.inputs[0]) and torch.equal(part.target[order], data.test.target)


def test_digits_are_the_pictures_of_scikit_learn() -> None:
    data = read("digits")
    bunch: Any = datasets.load_digits()
    for part in (data.train, data.valid, data.test):
        np.testing.assert_allclose(part.inputs[0][:, 0].numpy() / 255 * 16, bunch.images[part.rows], atol=0.04)
        assert part.target.tolist() == bunch.target[part.rows].tolist()
    assert data.train.inputs[0].max() == 255


def test_data_passes_through() -> None:
    data = read("iris")
    assert read(data) is data and source_name(data) == "iris" and example_names(data) is None


def frame() -> pd.DataFrame:
    generator = np.random.default_rng(0)
    return pd.DataFrame({"a": generator.normal(size=40), "b": list("xy") * 20, "label": ["p", "q"] * 20})


def test_frames_and_files_say_the_same(tmp_path: Path) -> None:
    table = frame()
    table.to_csv(tmp_path / "t.csv", index=False)
    table.to_csv(tmp_path / "t.csv.gz", index=False)
    table.to_parquet(tmp_path / "t.parquet")
    expected = read(table)
    sources = [pl.from_pandas(table), pa.Table.from_pandas(table), (table[["a", "b"]], table["label"]),
               *(tmp_path / name for name in ("t.csv", "t.csv.gz", "t.parquet")), str(tmp_path / "t.csv")]  # fmt: skip
    for source in sources:
        found = read(source)
        assert found.schema.target == expected.schema.target
        torch.testing.assert_close(found.train.inputs[0], expected.train.inputs[0])
        assert torch.equal(found.train.inputs[1], expected.train.inputs[1])
    assert source_name(table) == "frame" and source_name(tmp_path / "t.csv.gz") == "t"


def test_the_home_folder_is_meant_by_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    frame().to_csv(tmp_path / "t.csv", index=False)
    assert read("~/t.csv").source == "t.csv"


def album(folder: Path) -> Path:
    for number in range(20):
        place = folder / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8)).save(
            place / f"{number}.png"
        )
    return folder


def test_new_data_of_another_kind_is_refused_in_words(tmp_path: Path) -> None:
    folder = album(tmp_path / "set")
    pictures, table = read(folder), read("iris")
    with pytest.raises(SourceError, match="holds a table, but this run learned from pictures"):
        reread(pictures.schema, "iris", with_target=False)
    with pytest.raises(SourceError, match="holds pictures, but this run learned from a table"):
        reread(table.schema, folder, with_target=False)
    with pytest.raises(RecipeError, match="target='species'"):
        read(folder, Wishes(target="species"))
    names = example_names(folder)
    assert names is not None and names[0] == "a/0.png" and len(names) == 20
    assert example_names(folder / "b" / "1.png") == ["1.png"]
    assert example_names("iris") is None and example_names("digits") is None and example_names(np.zeros((2, 2))) is None


@pytest.mark.parametrize(("given", "said"), [
    ("irsi", "no such file or folder, and no named set; known here: 'iris'"),
    ("FOLDER/titanik.csv", "known here: 'titanic.csv'"),
    ("FOLDER/none/at/all.csv", "no such file or folder"),
    ("FOLDER/movie.mp4", "nothing reads files that end in '.mp4'"),
    ("FOLDER/README", "nothing reads files that end in 'no suffix'"),
    ("a\0b", "no such file or folder"),
])  # fmt: skip
def test_what_is_not_there_says_what_is_near(tmp_path: Path, given: str, said: str) -> None:
    for name in ("titanic.csv", "movie.mp4", "README"):
        (tmp_path / name).write_text("hello")
    with pytest.raises(SourceError) as caught:
        read(given.replace("FOLDER", str(tmp_path)))
    assert said in str(caught.value)


@pytest.mark.parametrize("source", ["", b"bytes", None, 7, {"a": 1}, (1, 2, 3), [], set(), lambda: 0])
def test_nonsense_is_an_error_of_ours(source: object) -> None:
    with pytest.raises(DeepglassError):
        read(source)


def test_every_reader_declines_what_is_not_its_own() -> None:
    assert all(reader(object()) is None for reader in READERS)
    assert set(fetch.NAMED_FILES) <= set(NAMED)


@pytest.mark.parametrize(("given", "name"), [
    ("~/data/My Set (2).tar.gz", "My-Set-2"), ("x/y/", "y"), ("a.b.csv", "a.b"), (Path("cats.zip"), "cats"),
    ("MNIST", "mnist"), (np.zeros((3, 2)), "arrays"), ("..", None),
])  # fmt: skip
def test_short_names_are_fit_for_a_folder(given: object, name: str | None) -> None:
    found = source_name(given)
    assert found == name if name else found and "/" not in found and found not in (".", "..")


CONTENT = gzip.compress(bytes(range(256)) * 400)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """A real server on this machine: /good whole, /short broken off, /wrong other bytes, /long without end in sight."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = {"/good": CONTENT, "/short": CONTENT, "/wrong": CONTENT[::-1], "/long": CONTENT * 9}.get(self.path)
            if body is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if self.path == "/short" else body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def remote(server: str, *paths: str, unpacked: bool = False) -> RemoteFile:
    md5 = hashlib.md5(gzip.decompress(CONTENT) if unpacked else CONTENT).hexdigest()
    return RemoteFile("thing.gz", tuple(server + path for path in paths), md5, 2 * len(CONTENT), unpacked)


@pytest.mark.parametrize("unpacked", [False, True])
def test_a_download_arrives_whole_and_alone(server: str, tmp_path: Path, unpacked: bool) -> None:
    file, seen = remote(server, "/good", unpacked=unpacked), []
    path = download(file, tmp_path / "cache" / "set", of="set", counted=lambda got, total: seen.append((got, total)))
    assert path.read_bytes() == CONTENT and matches(path, file)
    assert [entry.name for entry in path.parent.iterdir()] == ["thing.gz"]
    assert seen[-1] == (len(CONTENT), len(CONTENT))


@pytest.mark.parametrize(("path", "said"), [
    ("/short", "broke off after"), ("/wrong", "checksum"), ("/none", "Not Found"), ("/long", "not this file"),
])  # fmt: skip
def test_a_bad_download_leaves_nothing_and_says_what_to_do(server: str, tmp_path: Path, path: str, said: str) -> None:
    with pytest.raises(SourceError, match=said) as caught:
        download(remote(server, path), tmp_path, of="set")
    assert list(tmp_path.iterdir()) == [] and str(tmp_path) in caught.value.next
    good = download(remote(server, path, "/good"), tmp_path, of="set")
    assert good.read_bytes() == CONTENT, "the next address is tried"


def test_no_connection_is_said_in_words(tmp_path: Path, server: str) -> None:
    with pytest.raises(SourceError, match="cannot be downloaded"):
        download(remote("http://127.0.0.1:9", "/good"), tmp_path, of="set")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="cannot be written"):
        download(remote(server, "/good"), tmp_path / "file" / "cache", of="set")


def test_where_a_named_set_is_looked_for(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(fetch.NAMED_FILES, "set", (remote(server, "/good"),))
    monkeypatch.setattr(fetch, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.delenv("DEEPGLASS_DATA", raising=False)
    (path,) = find_named("set")
    assert path == tmp_path / "cache" / "set" / "thing.gz"
    monkeypatch.setitem(fetch.NAMED_FILES, "set", (remote("http://127.0.0.1:9", "/good"),))
    assert find_named("set") == (path,), "found in the cache, nothing is fetched"
    path.write_bytes(b"spoiled")
    with pytest.raises(SourceError, match="cannot be downloaded"):
        find_named("set")
    shared = tmp_path / "shared" / "set" / "thing.gz"
    shared.parent.mkdir(parents=True)
    shared.write_bytes(CONTENT)
    monkeypatch.setenv("DEEPGLASS_DATA", str(tmp_path / "shared"))
    assert find_named("set") == (shared,)
    shared.write_bytes(b"spoiled")
    with pytest.raises(SourceError, match="not the official file"):
        find_named("set")


def test_the_cache_is_where_each_system_keeps_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(fetch.sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "deepglass"
    monkeypatch.setattr(fetch.sys, "platform", "darwin")
    assert cache_folder().parts[-3:] == ("Library", "Caches", "deepglass")
    monkeypatch.setattr(fetch.sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert cache_folder() == tmp_path / "local" / "deepglass"


@pytest.mark.skipif(not SHARED, reason="DEEPGLASS_DATA is not set: no CIFAR-10 at hand")
def test_the_cifar_tar_is_read_whole() -> None:
    data = read("cifar10")
    assert [len(data.train), len(data.valid), len(data.test)] == [45_000, 5_000, 10_000]
    assert data.schema.inputs[0].shape == (3, 32, 32) and data.schema.target.counts == (4_500,) * 10
    assert data.schema.inputs[0].mean == pytest.approx((0.4913, 0.4821, 0.4465), abs=5e-4)
    assert len(data.notes) == 1
