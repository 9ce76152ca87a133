"""The verbs as a person types them: what is printed, what is left in the folder, which code it exits with."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image

from commands import command

FILES = {
    "recipe.toml",
    "schema.json",
    "history.jsonl",
    "inside.jsonl",
    "seen.json",
    "weights.safetensors",
    "checkpoint",
    "run.json",
    "report.html",
}
FAST = ("--epochs", "3", "--set", "members=2", "--set", "widths=16", "--set", "learning_rate=0.02")


@pytest.fixture
def table(tmp_path):
    generator = np.random.default_rng(0)
    path = tmp_path / "fish.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["length", "river", "kind"])
        for n in range(240):
            kind = ("trout", "salmon")[n % 2]
            writer.writerow([round(20 + 15 * (n % 2) + generator.normal(), 2), ("Rhine", "Rhône", "")[n % 3], kind])
    return path


@pytest.fixture
def run(table, tmp_path, capsys):
    folder = tmp_path / "run"
    assert command(capsys, "train", table, "--target", "kind", "--out", folder, *FAST).code == 0
    return folder


def test_train_leaves_the_whole_folder_and_prints_one_object(table, tmp_path, capsys):
    folder = tmp_path / "run"
    done = command(capsys, "train", table, "--target", "kind", "--out", folder, "--json", *FAST)
    assert done.code == 0, done.err
    assert {entry.name for entry in folder.iterdir()} == FILES
    found = done.json
    assert list(found) == ["run", "task", "metrics", "baselines", "seconds", "epochs", "stopped", "plan", "verdict"]
    assert found["task"] == "binary" and found["epochs"] == 3 and set(found["metrics"]) == {"train", "valid", "test"}
    assert set(found["baselines"]) == {"dummy", "linear", "trees"} and set(found["seconds"]) == {"total", "per_epoch"}
    assert found["verdict"] in done.out and str(folder / "report.html") in done.out
    assert "<script" not in (folder / "report.html").read_text() or "http" not in (folder / "report.html").read_text()
    assert not list(folder.rglob("*.pkl")) and not list(folder.rglob("*.pt"))


def test_evaluate_agrees_with_training(run, table, capsys):
    whole = json.loads((run / "run.json").read_text())
    again = command(capsys, "evaluate", run, "--json")
    assert again.code == 0 and again.json["metrics"] == whole["metrics"]["test"]
    on_all = command(capsys, "evaluate", run, table, "--json")
    assert on_all.code == 0 and on_all.json["metrics"]["accuracy"] > 0.8


def test_predict_prints_or_writes_a_row_for_each_example(run, table, tmp_path, capsys):
    printed = command(capsys, "predict", run, table)
    rows = list(csv.DictReader(printed.out.splitlines()))
    assert printed.code == 0 and len(rows) == 240
    assert {row["prediction"] for row in rows} == {"trout", "salmon"}
    shares = [float(rows[0]["probability of trout"]), float(rows[0]["probability of salmon"])]
    assert sum(shares) == pytest.approx(1, abs=1e-5)
    assert command(capsys, "predict", run, table, "--out", tmp_path / "p.parquet").code == 0
    kept = pyarrow.parquet.read_table(tmp_path / "p.parquet").to_pylist()
    assert [row["prediction"] for row in kept] == [row["prediction"] for row in rows]
    as_json = command(capsys, "predict", run, table, "--json").json
    assert as_json["rows"] == 240 and as_json["predictions"][0]["prediction"] == rows[0]["prediction"]


def test_data_says_what_is_inferred_and_trains_nothing(table, tmp_path, capsys):
    before = set(tmp_path.iterdir())
    found = command(capsys, "data", table, "--target", "kind", "--json")
    assert found.code == 0 and found.json["task"] == "binary" and found.json["model"] == "mlp"
    assert found.json["target"]["classes"] == ["salmon", "trout"] and "length" in found.out
    assert set(tmp_path.iterdir()) == before


def test_report_is_written_again(run, capsys):
    page = run / "report.html"
    text = page.read_text()
    page.unlink()
    again = command(capsys, "report", run)
    assert again.code == 0 and str(page) in again.out and page.read_text() == text


def test_a_folder_of_pictures_trains_and_predicts_by_file_name(tmp_path, capsys):
    generator = np.random.default_rng(0)
    for label, shade in (("dark", 40), ("light", 200)):
        (tmp_path / "pictures" / label).mkdir(parents=True)
        for n in range(20):
            pixels = generator.integers(shade - 30, shade + 30, (12, 12, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pictures" / label / f"{n}.png")
    done = command(capsys, "train", tmp_path / "pictures", "--epochs", "4", "--out", tmp_path / "run", "--json")
    assert done.code == 0, done.err
    assert done.json["metrics"]["test"]["accuracy"] == 1.0
    printed = command(capsys, "predict", tmp_path / "run", tmp_path / "pictures" / "dark" / "3.png")
    rows = list(csv.DictReader(printed.out.splitlines()))
    assert len(rows) == 1 and rows[0]["prediction"] == "dark" and "3.png" in rows[0]["file"]


def test_settings_reach_the_model_and_the_recipe_file_is_read(table, tmp_path, capsys):
    (tmp_path / "mine.toml").write_text('model = "mlp"\nepochs = 2\n[options]\nwidths = [8, 8]\nmembers = 1\n')
    words = ("--target", "kind", "--set", f"recipe={tmp_path / 'mine.toml'}", "--set", "dropout=0.25")
    done = command(capsys, "train", table, *words, "--out", tmp_path / "run", "--set", "baselines=no")
    assert done.code == 0, done.err
    kept = (tmp_path / "run" / "recipe.toml").read_text()
    assert "widths = [8, 8]" in kept and "dropout = 0.25" in kept and "epochs = 2" in kept


@pytest.mark.parametrize("words", [("iris",), ("digits", "--model", "convolution")])
def test_the_recipe_of_a_run_makes_the_same_run_again(words, tmp_path, capsys):
    quick = ("--epochs", "1", "--seed", "5", "--set", "baselines=no")
    assert command(capsys, "train", *words, *quick, "--out", tmp_path / "first").code == 0
    again = json.loads((tmp_path / "first" / "run.json").read_text())["command"].split()[1:]
    done = command(capsys, *again, "--out", tmp_path / "second")
    assert done.code == 0, done.err
    files = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("first", "second")]
    assert files[0] == files[1]


def test_minutes_become_epochs(table, tmp_path, capsys):
    words = ("--minutes", "0.02", "--set", "members=2", "--set", "widths=16", "--set", "baselines=no", "--json")
    done = command(capsys, "train", table, "--target", "kind", *words, "--out", tmp_path / "run")
    assert done.code == 0, done.err
    assert done.json["epochs"] >= 1 and "minutes" in done.json["plan"]["why"]["epochs"]


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no SIGINT to a child")
def test_control_c_keeps_the_work_and_says_how_to_go_on(tmp_path):
    words = ["train", "digits", "--model", "mlp", "--epochs", "2000", "--out", str(tmp_path / "run")]
    shown = []
    with subprocess.Popen([sys.executable, "-m", "deepglass", *words], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for text in process.stderr:
            shown.append(text)
            if text.startswith("epoch 2/"):
                break
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    assert process.returncode == 130, "".join(shown) + rest
    assert "--resume" in rest and str(tmp_path / "run") in rest and "Traceback" not in "".join(shown) + rest
    assert (tmp_path / "run" / "weights.safetensors").exists()


def test_a_reader_that_goes_away_is_no_error(run, table):
    words = [sys.executable, "-m", "deepglass", "predict", str(run), str(table)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert "Traceback" not in process.stderr.read()
