"""The charts of the inside: a row a layer in order, thinned when long, names as text, nothing where nothing is."""

import re
from typing import Any
from xml.etree import ElementTree

from deepglass.seeing import inner_chapters
from deepglass.seeing.inside import MOST_COLUMNS, MOST_ROWS, inside_charts, thinned

EVIL = "<script>alert(1)</script>"


def lines(steps: int, layers: int = 4, **figures: Any) -> list[dict[str, Any]]:
    def layer(depth: int, step: int) -> dict[str, Any]:
        plain = {"spread": 2.0**-depth, "gradient": 10.0 ** (depth - layers), "update": 1e-3 / step, "dead": 0.0}
        return plain | figures

    return [
        {"epoch": 1, "step": step, "layers": {f"body.{depth}": layer(depth, step) for depth in range(layers)}}
        for step in range(1, steps + 1)
    ]


def cells(svg: str) -> list[tuple[float, float]]:
    """Opacity and height on the page of each colored cell."""
    found = []
    for path in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}path"):
        if "accent" in path.attrib.get("fill", ""):
            y = float(re.findall(r"-?[\d.]+", path.attrib["d"])[1])
            found.append((float(path.attrib.get("opacity", path.attrib.get("fill-opacity", 1))), y))
    return found


def test_each_cell_is_a_layer_at_a_step_and_darker_where_more():
    svg, _ = inside_charts(lines(5))["gradient"]
    drawn = cells(svg)
    assert len(drawn) == 4 * 5
    by_depth = sorted(drawn, key=lambda cell: cell[1])
    shades = [opacity for opacity, _ in by_depth]
    # The gradient grows tenfold a layer downward, so each row is darker than the row above it.
    rows = [set(shades[start : start + 5]) for start in range(0, 20, 5)]
    assert all(len(row) == 1 for row in rows)
    assert [row.pop() for row in rows] == sorted(set(shades))


def test_long_and_deep_histories_are_thinned_with_first_and_last_kept():
    svg, _ = inside_charts(lines(500, layers=80))["spread"]
    assert len(cells(svg)) <= MOST_ROWS * MOST_COLUMNS
    said = "".join(ElementTree.fromstring(svg).itertext())
    assert "body.0" in said and "body.79" in said and "500" in said
    assert thinned(list(range(1000)), 7)[0] == 0 and thinned(list(range(1000)), 7)[-1] == 999


def test_what_was_not_measured_is_left_out():
    assert inside_charts([]) == {}
    assert inner_chapters.inside([]) is None
    charts = inside_charts(lines(3, gradient=None, update=None))
    # No unit is dead: an empty chart would say nothing.
    assert set(charts) == {"spread"}
    assert set(inside_charts(lines(3, dead=0.5))) == {"spread", "gradient", "update", "dead"}


def test_names_are_text_and_gaps_are_no_cells():
    told = lines(3)
    for line in told:
        line["layers"][EVIL] = {"spread": None if line["step"] == 2 else 1.0}
    svg, _ = inside_charts(told)["spread"]
    assert "<script" not in svg and "&lt;script" in svg
    assert len(cells(svg)) == 4 * 3 + 2


def test_findings_are_told_with_their_cure_and_escaped():
    one = {"name": "x", "title": "Too fast", "layer": EVIL, "evidence": f"loss {EVIL}", "cause": "c", "remedy": "r",
           "cure": {"learning_rate": 0.001, "widths": [8, 4]}, "certainty": "likely"}  # fmt: skip
    chapter = inner_chapters.findings({"diagnosis": {"findings": [one], "unsure": ["too few epochs"]}}, "runs/a b")
    assert chapter is not None and "<script" not in chapter
    for words in ("Too fast", "likely", "--set learning_rate=0.001 --set widths=8,4", "too few epochs", "--cure"):
        assert words in chapter
    healthy = inner_chapters.findings({"diagnosis": {"findings": [], "unsure": []}}, "runs/a")
    assert healthy is not None and "Nothing amiss" in healthy and "--cure" not in healthy
    assert inner_chapters.findings({}, "runs/a") is None


def test_what_mattered_is_told_with_its_tests_and_a_failed_map_says_so():
    columns = [{"name": EVIL, "importance": 0.2, "interval": [0.1, 0.3]}, {"name": "b", "importance": 0.0}]
    found = {"method": "permutation", "why": "How much worse.", "metric": "accuracy", "columns": columns,
             "checks": [{"name": "randomized weights", "words": "0.9", "passed": False}], "verdict": "fails",
             "trusted": False, "skipped": ["c"]}  # fmt: skip
    chapter = inner_chapters.attribution({"attributions": found})
    assert chapter is not None and "<script" not in chapter
    for words in (
        "Not to be trusted",
        "randomized weights: 0.9",
        "1 were not tried",
        "chart-importance",
        "How much worse",
    ):
        assert words in chapter
    trusted = inner_chapters.attribution({"attributions": found | {"trusted": True}})
    assert trusted is not None and "Not to be trusted" not in trusted
    assert inner_chapters.attribution({"attributions": {"note": "? nothing"}}) is None
