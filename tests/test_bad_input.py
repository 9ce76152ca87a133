"""Every mistake a person can make: one clear message that names the place, exit 2, nothing half written."""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from commands import Outcome, command

ROWS = "".join(f"{n},{n % 7},{'yes' if n % 2 else 'no'}\n" for n in range(60))


@dataclasses.dataclass(frozen=True)
class Bad:
    """What is wrong, the words the message must hold, and further words of the command."""

    name: str
    content: bytes | str
    says: tuple[str, ...]
    words: tuple[str, ...] = ("--target", "t")


TABLES = (
    Bad("empty.csv", "", ("empty.csv", "empty")),
    Bad("header.csv", "a,b,t\n", ("header.csv", "row")),
    Bad("ragged.csv", "a,b,t\n1,2,x\n3,4\n5,6,y\n" * 1, ("ragged.csv", "3")),
    Bad("absent.csv", "length,width,kind\n" + ROWS, ("'knd'", "'kind'"), ("--target", "knd")),
    Bad("constant.csv", "a,t\n" + "".join(f"{n},x\n" for n in range(40)), ("'t'", "x")),
    Bad("missing_target.csv", "a,t\n" + "".join(f"{n},\n" for n in range(40)), ("'t'",)),
    Bad("json.csv", 'a,t\n' + "".join(f'{n},"{{""k"": [{n}]}}"\n' for n in range(40)), ("'t'",)),
    Bad("useless.csv", "a,b,t\n" + "".join(f"nan,inf,{'xy'[n % 2]}\n" for n in range(40)), ("useless.csv",)),
    Bad("duplicate.csv", "a,a,t\n" + ROWS, ("duplicate.csv", "'a'")),
    Bad("two.csv", "a,b,t\n1,2,x\n3,4,y\n", ("two.csv", "2")),
    Bad("binary.csv", bytes(range(256)) * 20, ("binary.csv",)),
    Bad("cut.csv.gz", gzip.compress(("a,b,t\n" + ROWS).encode())[:60], ("cut.csv.gz",)),
    Bad("picture.csv", b"\x89PNG\r\n\x1a\n" + bytes(2000), ("picture.csv",)),
    Bad("broken.parquet", b"PAR1" + bytes(100) + b"PAR1", ("broken.parquet",)),
    Bad("broken.npz", b"PK\x03\x04" + bytes(50), ("broken.npz",)),
    Bad("odd.xyz", "hello", ("odd.xyz",)),
)  # fmt: skip

GOOD = "a,b,t\n" + ROWS
WISHES = (
    Bad("f.csv", GOOD, ("'mpl'", "'mlp'"), ("--target", "t", "--model", "mpl")),
    Bad("f.csv", GOOD, ("'learning_rat'", "'learning_rate'"), ("--target", "t", "--set", "learning_rat=1")),
    Bad("f.csv", GOOD, ("epochs", "whole number"), ("--target", "t", "--epochs", "2", "--set", "epochs=many")),
    Bad("f.csv", GOOD, ("batch_size", "out of range"), ("--target", "t", "--set", "batch_size=0")),
    Bad("f.csv", GOOD, ("--set widths", "FIELD=VALUE"), ("--target", "t", "--set", "widths")),
    Bad("f.csv", GOOD, ("'admw'", "'adamw'"), ("--target", "t", "--set", "optimizer=admw")),
    Bad("f.csv", GOOD, ("mixup",), ("--target", "t", "--set", "mixup=0.2")),
    Bad("f.csv", GOOD, ("momentum",), ("--target", "t", "--set", "optimizer=adam", "--set", "momentum=0.5")),
    Bad("f.csv", GOOD, ("no recipe.toml", "no such recipe file"), ("--target", "t", "--set", "recipe=no recipe.toml")),
    Bad("f.csv", GOOD, ("convolution", "pictures"), ("--target", "t", "--model", "convolution")),
    Bad("f.csv", GOOD, ("metric", "'rmse'"), ("--target", "t", "--set", "metric=rmse")),
)


def trained(capsys, tmp_path: Path, source: object, *words: str) -> Outcome:
    done = command(capsys, "train", source, "--out", tmp_path / "run", "--epochs", "1", *words)
    assert not (tmp_path / "run").exists() or done.code == 0, "something half written stayed"
    return done


def refused(done: Outcome, *says: str) -> None:
    assert done.code == 2, f"exit {done.code}: {done.err}"
    assert "Traceback" not in done.err and "Next:" in done.err
    for words in says:
        assert words in done.err, done.err
    assert len(done.err) < 1200, "one message, not a page"


@pytest.mark.parametrize("bad", TABLES, ids=lambda bad: bad.name)
def test_tables(bad, tmp_path, capsys):
    path = tmp_path / bad.name
    path.write_bytes(bad.content if isinstance(bad.content, bytes) else bad.content.encode())
    refused(trained(capsys, tmp_path, path, *bad.words), *bad.says)


@pytest.mark.parametrize("bad", WISHES, ids=lambda bad: " ".join(bad.words[2:]))
def test_wishes(bad, tmp_path, capsys):
    path = tmp_path / bad.name
    path.write_text(str(bad.content))
    words = bad.words if "--epochs" in bad.words else ("--epochs", "1", *bad.words)
    done = command(capsys, "train", path, "--out", tmp_path / "run", *words)
    refused(done, *bad.says)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("words", [("--epochs", "x"), ("--nonsense",), ()])
def test_words_the_command_does_not_know(words, capsys):
    assert command(capsys, "train", *words).code == 2


def test_nothing_there(tmp_path, capsys):
    refused(trained(capsys, tmp_path, tmp_path / "titanik.csv"), "titanik.csv")
    (tmp_path / "titanic.csv").write_text("a")
    refused(trained(capsys, tmp_path, tmp_path / "titanik.csv"), "titanic.csv")
    refused(trained(capsys, tmp_path, "digitz"), "'digits'")


def test_another_encoding_is_read_and_said(tmp_path, capsys):
    (tmp_path / "latin.csv").write_bytes(("a,ü,t\n" + ROWS).encode("latin-1"))
    done = command(capsys, "data", tmp_path / "latin.csv", "--target", "t")
    assert done.code == 0 and "ü" in done.out and "latin" in done.out.casefold()


def test_a_class_with_one_example_is_said(tmp_path, capsys):
    (tmp_path / "rare.csv").write_text("a,b,t\n" + ROWS + "5,5,once\n")
    done = command(capsys, "data", tmp_path / "rare.csv", "--target", "t")
    assert done.code == 0 and "'once'" in done.out


def test_ten_thousand_columns_train(tmp_path, capsys):
    generator = np.random.default_rng(0)
    header = ",".join(f"c{n}" for n in range(10_000))
    rows = [",".join(f"{value:.2f}" for value in generator.normal(size=10_000)) + f",{'xy'[n % 2]}" for n in range(30)]
    (tmp_path / "wide.csv").write_text(f"{header},t\n" + "\n".join(rows) + "\n")
    words = ("--target", "t", "--set", "members=2", "--set", "widths=8", "--set", "baselines=no")
    assert trained(capsys, tmp_path, tmp_path / "wide.csv", *words).code == 0


def pictures(folder: Path, classes: int = 2, count: int = 8) -> Path:
    for label in range(classes):
        (folder / f"class{label}").mkdir(parents=True)
        for n in range(count):
            shade = np.full((9, 9, 3), 30 + 90 * label + n, np.uint8)
            Image.fromarray(shade).save(folder / f"class{label}" / f"{n}.png")
    return folder


def test_folders_that_cannot_be_learned_from(tmp_path, capsys):
    refused(trained(capsys, tmp_path, pictures(tmp_path / "one", classes=1)), "one", "class0")
    (tmp_path / "void").mkdir()
    refused(trained(capsys, tmp_path, tmp_path / "void"), "void")


@pytest.mark.parametrize("kind", ["corrupt", "truncated", "zero"])
def test_broken_pictures_are_named(kind, tmp_path, capsys):
    folder = pictures(tmp_path / "pictures")
    good = (folder / "class0" / "0.png").read_bytes()
    broken = {"corrupt": b"\x89PNG\r\n\x1a\n" + os.urandom(80), "truncated": good[: len(good) // 2], "zero": b""}[kind]
    (folder / "class0" / "broken.png").write_bytes(broken)
    done = command(capsys, "data", folder)
    if done.code:
        refused(done, "broken.png")
    else:
        assert "broken.png" in done.out


def test_a_decompression_bomb_is_refused(tmp_path, capsys):
    folder = pictures(tmp_path / "pictures")
    Image.new("1", (30_000, 30_000)).save(folder / "class1" / "bomb.png")
    done = command(capsys, "data", folder)
    assert "bomb.png" in done.out + done.err and done.code in (0, 2)


def test_an_archive_that_climbs_out_is_refused(tmp_path, capsys):
    pictures(tmp_path / "pictures")
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.write(tmp_path / "pictures" / "class0" / "0.png", "../../evil/0.png")
    refused(trained(capsys, tmp_path, tmp_path / "evil.zip"), "evil.zip")
    assert not (tmp_path.parent.parent / "evil").exists()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    (folder / "f.csv").write_text(
        "a,color,t\n" + "".join(f"{n * n % 17},{'rgb'[n % 3]},{'xy'[n % 2]}\n" for n in range(60))
    )
    import deepglass as dg  # noqa: PLC0415  # the only test here that trains through Python

    dg.train(folder / "f.csv", target="t", epochs=1, members=2, widths=8, out=folder / "run", baselines=False)
    return folder / "run"


NEW_DATA = {
    "missing": ("a\n1\n", ("'color'",)),
    "typed": ("a,color\nbig,r\n", ("'a'", "big")),
    "empty": ("", ("new.csv",)),
}


@pytest.mark.parametrize("case", NEW_DATA)
def test_new_data_that_do_not_fit_the_run(case, run, tmp_path, capsys):
    text, says = NEW_DATA[case]
    (tmp_path / "new.csv").write_text(text)
    refused(command(capsys, "predict", run, tmp_path / "new.csv", "--out", tmp_path / "p.csv"), *says)
    assert not (tmp_path / "p.csv").exists()


def test_new_data_with_extra_and_reordered_columns_give_the_same_predictions(run, tmp_path, capsys):
    (tmp_path / "plain.csv").write_text("a,color\n1,r\n50,b\n7,never seen\n")
    (tmp_path / "other.csv").write_text("extra,color,a\n9,r,1\n9,b,50\n9,never seen,7\n")
    printed = [command(capsys, "predict", run, tmp_path / name) for name in ("plain.csv", "other.csv")]
    assert printed[0].out == printed[1].out and "extra" in printed[1].err
    assert "never seen" in printed[0].err


def test_runs_that_are_none(run, tmp_path, capsys):
    refused(command(capsys, "evaluate", tmp_path / "nowhere"), "nowhere")
    refused(command(capsys, "evaluate", tmp_path), "schema.json")
    shutil.copytree(run, tmp_path / "damaged")
    (tmp_path / "damaged" / "weights.safetensors").write_bytes(b"x" * 100)
    refused(command(capsys, "evaluate", tmp_path / "damaged"), "weights.safetensors")
    (tmp_path / "damaged" / "schema.json").write_text("{")
    refused(command(capsys, "report", tmp_path / "damaged"), "schema.json")


def test_a_folder_that_holds_something_is_left_alone(run, tmp_path, capsys):
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    refused(command(capsys, "train", "iris", "--out", run, "--epochs", "1"), "already holds a run")
    assert before == {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "diary.txt").write_text("mine")
    refused(command(capsys, "train", "iris", "--out", tmp_path / "notes", "--epochs", "1"), "notes")
    assert (tmp_path / "notes" / "diary.txt").read_text() == "mine"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_predictions_to_a_full_disk(run, tmp_path, capsys):
    (tmp_path / "new.csv").write_text("a,color\n1,r\n")
    refused(command(capsys, "predict", run, tmp_path / "new.csv", "--out", "/dev/full"), "/dev/full")


@contextlib.contextmanager
def small_disk(folder: Path, size: str, *options: str):
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", ",".join([f"size={size}", *options]), "tmpfs", str(folder)]
    mounted = shutil.which("mount") and subprocess.run(words, capture_output=True).returncode == 0
    if not mounted:
        pytest.skip("only root may make a small disk to fill")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_fills_up_while_training(tmp_path, capsys):
    with small_disk(tmp_path / "disk", "200k"):
        done = command(capsys, "train", "digits", "--model", "mlp", "--out", tmp_path / "disk" / "run", "--epochs", "2")
        refused(done, "disk is full")
        assert not list((tmp_path / "disk").rglob("*.part"))


def test_a_read_only_disk(tmp_path, capsys):
    with small_disk(tmp_path / "disk", "1m", "ro"):
        refused(trained(capsys, tmp_path, "iris", "--out", str(tmp_path / "disk" / "run")), "read-only")
