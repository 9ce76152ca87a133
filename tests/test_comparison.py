"""Two runs on one page: what differs is shown, who is better is said, and doubt is said too."""

from pathlib import Path

import pytest

import deepglass as dg
from commands import command
from deepglass.errors import RunError
from deepglass.seeing.comparison import Side, verdict, write_comparison


def side(name: str, figure: float | None, interval: list[float], **more: object) -> Side:
    rows = {"train": 60, "valid": 20, "test": 20}
    summary = {"metric": "accuracy", "judged_on": "test", "higher_is_better": True, "interval": interval,
               "metrics": {"test": {"accuracy": figure}}, "data": {"rows": rows}} | more  # fmt: skip
    return Side(name, summary, (), {}, {})


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        (side("a", 0.7, [0.65, 0.75]), side("b", 0.9, [0.85, 0.95]), "b is better, beyond both"),
        (side("a", 0.9, [0.85, 0.95]), side("b", 0.7, [0.65, 0.75]), "a is better, beyond both"),
        (side("a", 0.9, [0.85, 0.95]), side("b", 0.88, [0.8, 0.93]), "a is better, but"),
        (side("a", 0.9, [0.8, 1.0]), side("b", 0.9, [0.8, 1.0]), "the same"),
        (side("a", 0.9, [0.8, 1.0]), side("b", 0.5, [0.4, 0.6], data={"rows": {"test": 7}}), "cannot be compared"),
        (side("a", None, [0.8, 1.0]), side("b", 0.9, [0.8, 1.0]), "no figure in common"),
    ],
)
def test_the_verdict_says_who_is_better_and_how_sure(one: Side, other: Side, said: str):
    assert said in verdict(one, other)


def test_lower_is_better_where_the_metric_says_so():
    errors = {"metric": "rmse", "higher_is_better": False}
    one = side("a", None, [2.0, 2.2], **errors, metrics={"test": {"rmse": 2.1}})
    other = side("b", None, [1.0, 1.2], **errors, metrics={"test": {"rmse": 1.1}})
    assert "b is better, beyond both" in verdict(one, other)


def test_a_page_of_two_runs_shows_what_was_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for name, rate in (("slow", 0.001), ("fast", 0.1)):
        dg.train("iris", "neuron", epochs=3, learning_rate=rate, baselines=False, out=tmp_path / name)
    done = command(capsys, "report", tmp_path / "slow", tmp_path / "fast")
    assert done.code == 0, done.err
    page = Path(done.out.strip())
    assert page == tmp_path / "fast" / "beside-slow.html"
    text = page.read_text(encoding="utf-8")
    changed = text[text.index("What was changed") : text.index("What came of it")]
    assert "learning_rate" in changed and "0.001" in changed and "0.1" in changed
    assert "epochs" not in changed
    assert "compared-loss" in text and "<script" not in text and "http://www.w3.org" in text


def test_runs_of_one_name_are_told_apart_and_no_run_is_refused(tmp_path: Path):
    for parent in ("a", "b"):
        dg.train("iris", "neuron", epochs=1, baselines=False, report=False, out=tmp_path / parent / "run")
    page = write_comparison(tmp_path / "a" / "run", tmp_path / "b" / "run").read_text(encoding="utf-8")
    assert "a/run beside b/run" in page and "word for word" in page
    with pytest.raises(RunError, match="not a run folder"):
        write_comparison(tmp_path / "a", tmp_path / "b" / "run")
