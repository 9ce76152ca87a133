"""The report: only the folder is read, nothing in it becomes markup, nothing outside is asked for."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepglass.errors import RunError
from deepglass.seeing.page import Markup, tag
from deepglass.seeing.report import write_report

EVIL = "<script>alert('x')</script><img src=x onerror=alert(1)>"
VOID = {"meta", "img"}


class Reader(HTMLParser):
    """Elements, their attributes and texts; fails where an element is not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.texts)

    @property
    def headings(self) -> list[str]:
        return [entry["id"] or "" for name, entry in self.found if name == "h2"]


def mistakes(task: str, names: list[str]) -> dict[str, Any]:
    worst: dict[str, Any] = {"row": 11, "inputs": {EVIL: EVIL, "age": "31"}}
    if task == "regression":
        random = np.random.default_rng(0)
        residuals: dict[str, Any] = {"edges": [-2.0, 0.0, 2.0], "counts": [10, 12], "outside": 1}
        residuals["quantiles"] = {"0.25": -1.0, "0.5": 0.0, "0.75": 1.5}
        points = random.normal(size=(30, 2)).tolist()
        worst |= {"expected": 31_000.5, "predicted": 12.25, "error": -30_988.25}
        return {"part": "test", "rows": 23, "worst": [worst],
                "numbers": [{"name": EVIL, "points": points, "residuals": residuals}]}  # fmt: skip
    worst |= {"expected": names[0], "predicted": names[1], "probability": 0.973, "expected_probability": 0.01}
    counts = (np.diag(np.full(len(names), 20)) + 1).tolist()
    return {"part": "test", "rows": 99, "wrong": 7, "worst": [worst],
            "confusion": {"classes": names, "counts": counts, "others": 0},
            "calibration": [{"confidence": 0.9, "accuracy": 0.85, "count": 99}]}  # fmt: skip


def summary(task: str = "binary", names: tuple[str, ...] = (EVIL, "b")) -> dict[str, Any]:
    metric = "rmse" if task == "regression" else "accuracy"
    figures = {metric: 0.871, "r2" if task == "regression" else "log_loss": 0.31}
    rival = {"what": f"trees {EVIL}", "metrics": {metric: 0.84}, "interval": [0.83, 0.85], "difference": [0.01, 0.05]}
    found: dict[str, Any] = {
        "deepglass": "0.1.0", "torch": "2.13.0", "python": "3.11", "started": "2026-11-21T10:00:00+00:00",
        "run": "runs/a b", "source": f"{EVIL}.csv", "model": "mlp", "parameters": 123_456, "task": task,
        "target": EVIL, "metric": metric, "higher_is_better": task != "regression", "judged_on": "test",
        "metrics": {"train": figures, "valid": figures, "test": figures}, "interval": [0.86, 0.88],
        "baselines": {"dummy": rival | {"difference": [-0.1, -0.05]}, "trees": rival | {"seconds": 3.2}},
        "seconds": {"total": 75.2, "per_epoch": 7.5}, "epochs": 10, "best_epoch": 7, "stopped": f"patience {EVIL}",
        "plan": {"device": "cpu", "threads": 2, "why": {"device": EVIL}, "memory_bytes": 5_000_000},
        "verdict": f"The network wins {EVIL}.",
        "data": {"rows": {"train": 60, "valid": 20, "test": 20}, "split": "stratified", "columns": 4,
                 "notes": [{"level": "guess", "text": "a guess"}, {"level": "trouble", "text": f"a leak {EVIL}"}]},
        "mistakes": mistakes(task, list(names)),
    }  # fmt: skip
    if task != "regression":
        found["per_class"] = [
            {"class": name, "precision": 0.9, "recall": 0.8, "f1": 0.85, "support": 9} for name in names
        ]
    return found


def folder(path: Path, found: dict[str, Any] | None, epochs: int = 5) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    lines = [{"epoch": k, "train_loss": 1 / k, "valid_loss": 1.1 / k, "valid": {"accuracy": 0.8}, "rate": 0.01,
              "gradient_norm": {"mean": 1.0, "max": 2.0}} for k in range(1, epochs + 1)]  # fmt: skip
    (path / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    (path / "recipe.toml").write_text(f'epochs = 5\nsource = "{EVIL}"\n', encoding="utf-8")
    if found is not None:
        (path / "run.json").write_text(json.dumps(found), encoding="utf-8")
    return path


def report(path: Path, found: dict[str, Any] | None, epochs: int = 5) -> tuple[str, Reader]:
    text = write_report(folder(path, found, epochs)).read_text(encoding="utf-8")
    return text, Reader(text)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_whatever_a_data_set_is_called_is_shown_as_text(tmp_path: Path, task: str) -> None:
    names = (EVIL, "b", "c") if task == "multiclass" else (EVIL, "b")
    text, page = report(tmp_path, summary(task, names))
    elements = {name for name, _ in page.found}
    assert "script" not in elements
    assert all((entry.get("src") or "").startswith("data:image/png") for name, entry in page.found if name == "img")
    assert not any(key.startswith("on") for _, entry in page.found for key in entry)
    assert page.text.count("<script>alert('x')</script>") >= 8
    assert "<script" not in text.replace("&lt;script", "")


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_nothing_outside_is_asked_for_and_the_policy_fits_the_page(tmp_path: Path, task: str) -> None:
    text, page = report(tmp_path, summary(task))
    assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)", text)
    style = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style[0].encode()).digest()).decode()
    policy = next(e["content"] or "" for n, e in page.found if n == "meta" and "http-equiv" in e)
    assert len(style) == 1 and f"style-src 'sha256-{digest}'" in policy and "default-src 'none'" in policy
    assert not any("style" in entry for _, entry in page.found)
    ids = [entry["id"] for _, entry in page.found if "id" in entry]
    assert len(ids) == len(set(ids))
    inside = {entry["href"] for _, entry in page.found if "href" in entry}
    assert {link[1:] for link in inside if link} <= set(ids)


def test_the_chapters_stand_in_order(tmp_path: Path) -> None:
    _, page = report(tmp_path, summary())
    assert page.headings == [
        "beside-the-baselines", "how-it-learned", "where-it-errs", "each-class", "every-figure", "the-data",
        "how-it-was-made", "again--and-onward",
    ]  # fmt: skip
    assert "One thing in the data may spoil this result" in page.text
    troubles = [place for place, text in enumerate(page.texts) if text.startswith(("a leak", "a guess"))]
    assert page.texts[troubles[0]].startswith("a leak")


def test_a_rival_is_beaten_lost_to_or_level_whichever_way_is_better(tmp_path: Path) -> None:
    found = summary()
    _, page = report(tmp_path / "up", found)
    assert "ours is better" in page.text and "theirs is better" in page.text
    trees = found["baselines"]["trees"] | {"metrics": {"rmse": 0.9}}
    lower = summary("regression") | {"baselines": {"trees": trees}}
    _, page = report(tmp_path / "down", lower)
    assert "theirs is better" in page.text and "ours is better" not in page.text
    trees["difference"] = [-0.01, 0.01]
    assert "a tie" in report(tmp_path / "level", lower)[1].text


def test_an_interrupted_run_has_a_page(tmp_path: Path) -> None:
    _, page = report(tmp_path / "stopped", None, epochs=2)
    assert "has not been judged" in page.text and "how-it-learned" in page.headings
    assert "beside-the-baselines" not in page.headings and "where-it-errs" not in page.headings
    _, page = report(tmp_path / "unbegun", None, epochs=0)
    assert "how-it-learned" not in page.headings


@pytest.mark.parametrize("missing", sorted(summary()))
def test_any_piece_may_be_missing(tmp_path: Path, missing: str) -> None:
    found = summary()
    del found[missing]
    report(tmp_path, found)


def test_figures_that_are_no_numbers_are_left_out(tmp_path: Path) -> None:
    found: dict[str, Any] = summary() | {"interval": [None, None]}
    found["metrics"]["test"]["log_loss"] = None
    found["baselines"]["trees"] |= {"interval": [None, None], "difference": [None, None], "metrics": {}}
    text, _ = report(tmp_path, found)
    assert not re.search(r"\bnan\b|\bNone\b", text)


def test_without_baselines_and_test_rows_it_says_so(tmp_path: Path) -> None:
    found = summary() | {"baselines": {}, "judged_on": "valid"}
    _, page = report(tmp_path, found)
    assert "Baselines were not asked for." in page.text and "accuracy, validation" in page.text


def test_a_hundred_classes_are_folded_away(tmp_path: Path) -> None:
    names = tuple(f"class {k}" for k in range(100))
    text, page = report(tmp_path, summary("multiclass", names))
    assert "All 100 classes" in page.text and len(text) < 400_000


def test_the_page_is_the_same_bytes_each_time(tmp_path: Path) -> None:
    assert report(tmp_path, summary())[0] == report(tmp_path, summary())[0]


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not a run folder"):
        write_report(tmp_path)
    (tmp_path / "run.json").write_text("{", encoding="utf-8")
    with pytest.raises(RunError, match="cannot be read"):
        write_report(tmp_path)
    (tmp_path / "run.json").write_text("[]", encoding="utf-8")
    with pytest.raises(RunError, match="expected an object"):
        write_report(tmp_path)


def test_markup_is_made_by_tag_alone() -> None:
    assert tag("p", "<b>", Markup("<i></i>"), None, 3) == "<p>&lt;b&gt;<i></i>3</p>"
    assert tag("a", "x", href='"><script>') == '<a href="&quot;&gt;&lt;script&gt;">x</a>'
