"""Charts: well-formed, the page's colors, unique ids, the same bytes, and figures where they belong."""

import math
import re
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest

from deepglass.drawing.vector import ACCENT, ROLES, legible, paint, readable
from deepglass.seeing import charts
from deepglass.seeing.curves import learning_curves

NAMES = ["cat", "<script>alert(1)</script>", "$x^2$ & co", "漢字", "a name that goes on and on"]
BASELINES = {
    "boosted trees": {"metrics": {"accuracy": 0.874}, "interval": [0.868, 0.88]},
    "a guess": {"metrics": {"accuracy": 0.113}, "interval": [0.1, 0.12]},
}


def history(epochs: int, broken: tuple[int, ...] = ()) -> list[dict]:
    return [
        {
            "epoch": epoch,
            "train_loss": 2 / epoch,
            "valid_loss": math.inf if epoch in broken else 2.5 / epoch,
            "valid": {"accuracy": 1 - 0.5 / epoch},
            "rate": 1e-3,
            "gradient_norm": {"mean": 1.0 / epoch, "max": math.nan if epoch % 2 else 3.0 / epoch},
        }
        for epoch in range(1, epochs + 1)
    ]


def every_chart() -> dict[str, str]:
    counts = np.diag(range(5, 10)) + 1
    rng = np.random.default_rng(0)
    points = rng.normal(size=(200, 2)).tolist()
    bins = [{"confidence": 0.1 * k, "accuracy": 0.09 * k, "count": k * k} for k in range(11)]
    return {
        **learning_curves(history(12, broken=(4, 5)), "accuracy", 9),
        "scores": charts.scores("accuracy", "accuracy", 0.871, (0.865, 0.877), BASELINES),
        "confusion": charts.confusion(NAMES, counts.tolist()),
        "calibration": charts.calibration(bins),
        "predicted": charts.predicted_vs_true(points, NAMES[1]),
        "residuals": charts.residuals([-2.0, -1.0, 0.0, 1.0], [3, 9, 2], NAMES[2]),
    }


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in tree(svg).iter() if element.tag.endswith("}text")]


def tree(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


def paths(svg: str, color: str) -> list[str]:
    """The outlines of what is stroked in a role's color, markers aside."""
    found = [element for element in tree(svg).iter() if element.get("stroke") == ROLES[color]]
    return [element.get("d", "") for element in found if element.get("d") and element.get("clip-path")]


@pytest.mark.parametrize("name", every_chart())
def test_a_chart_is_an_accessible_part_of_a_strict_page(name: str) -> None:
    svg = every_chart()[name]
    root = tree(svg)
    assert root.get("role") == "img"
    labels = (root.get("aria-labelledby") or "").split()
    by_id = {element.get("id"): element for element in root.iter() if element.get("id")}
    assert all(by_id[label].text for label in labels) and len(labels) == 2
    assert not re.search(r"style=|<style|<script|xlink|http(?!://www.w3.org/2000/svg)", svg)
    colors = {element.get(key) for element in root.iter() for key in ("fill", "stroke")} - {None, "none"}
    assert colors <= set(ROLES.values())


def test_ids_are_unique_on_a_page_and_all_references_lead_somewhere() -> None:
    page = "".join(every_chart().values())
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:url\(|href=")#([\w-]+)', page)) <= set(ids)


def test_the_same_figures_give_the_same_bytes() -> None:
    assert every_chart() == every_chart()


def test_names_are_letters_never_markup_nor_formulas() -> None:
    shown = texts(every_chart()["confusion"])
    assert "$x^2$ & co" in shown and "漢字" in shown and "<script>alert…" in shown
    assert "script" not in {element.tag for element in tree(every_chart()["confusion"]).iter()}
    assert texts(charts.confusion(["bell\a", "b"], [[1, 0], [0, 1]]))[0] == "bell�"


def test_a_figure_that_is_no_number_leaves_a_gap() -> None:
    whole = learning_curves(history(40), "accuracy")["loss"]
    broken = learning_curves(history(40, broken=(20, 21)), "accuracy")["loss"]
    assert [path.count("M") for path in paths(whole, ACCENT)] == [1]
    assert [path.count("M") for path in paths(broken, ACCENT)] == [2]


@pytest.mark.parametrize("epochs", [1, 2, 1000])
def test_any_number_of_epochs_is_drawn(epochs: int) -> None:
    drawn = learning_curves(history(epochs), "accuracy", epochs)
    assert set(drawn) == ({"loss", "metric", "rate", "gradient"})
    assert f"best: {epochs:,}" in texts(drawn["loss"])
    assert len(drawn["loss"]) < 60_000
    dots = [element for element in tree(drawn["metric"]).iter() if element.tag.endswith("}use")]
    assert dots if epochs == 1 else True
    if epochs == 1:
        assert texts(drawn["metric"])[0] == "1"


def test_what_was_not_recorded_is_left_out() -> None:
    assert learning_curves([], "accuracy") == {}
    assert set(learning_curves([{"epoch": 1, "train_loss": 1.0, "rate": None}], "accuracy")) == {"loss"}
    assert learning_curves([{"epoch": 1, "train_loss": math.inf, "valid": None}], "accuracy") == {}


def test_a_loss_over_orders_of_magnitude_stands_on_a_logarithmic_axis() -> None:
    """On a logarithmic axis equal ratios are equally far apart."""
    lines = [{"epoch": epoch, "train_loss": 10.0**-epoch} for epoch in range(1, 41)]
    (path,) = paths(learning_curves(lines, "accuracy")["loss"], ACCENT)
    heights = np.array(re.findall(r"[\d.]+ ([\d.]+)", path), dtype=float)
    np.testing.assert_allclose(np.diff(heights), np.diff(heights)[0], atol=0.02)


def test_scores_stand_where_their_figures_say_and_the_far_ones_at_the_edge() -> None:
    near = {"rival": {"metrics": {"accuracy": 0.85}, "interval": [0.84, 0.86]}}
    svg = charts.scores("accuracy", "accuracy", 0.875, (0.865, 0.885), near, digits=3)
    spans = [re.findall(r"[ML] ([\d.]+)", path) for color in (ACCENT, "#020202") for path in paths(svg, color)]
    (ours, theirs) = (np.array(span, dtype=float) for span in spans)
    scale = np.polyfit([0.865, 0.885], ours, 1)
    np.testing.assert_allclose(np.polyval(scale, [0.84, 0.86]), theirs, atol=0.03)
    assert {"0.875", "0.850"} <= set(texts(svg))
    assert "◀ 0.113" in texts(charts.scores("accuracy", "accuracy", 0.871, (0.865, 0.877), BASELINES, digits=3))


def test_scores_without_intervals_or_rivals() -> None:
    assert "0.5000" in texts(charts.scores("accuracy", "accuracy", 0.5, None, {}))
    unjudged = {"linear model": {"metrics": {}, "interval": None}}
    assert "linear model" not in texts(charts.scores("accuracy", "accuracy", 0.5, None, unjudged))


def test_a_cell_is_shaded_by_the_share_of_its_row() -> None:
    svg = charts.confusion(["a", "b"], [[90, 10], [0, 10]])
    opacities = {float(e.get("opacity", 1)) for e in tree(svg).iter() if e.get("fill") == ROLES[ACCENT] and e.get("d")}
    expected = {(math.ceil(share * charts.SHADES) / charts.SHADES) ** 1.1 for share in (0.9, 0.1)}
    assert sorted(opacities) == pytest.approx(sorted(expected), abs=1e-6)
    assert {"90", "10"} <= set(texts(svg)) and "0" not in texts(svg)


def test_a_hundred_classes_stay_small_and_unlettered() -> None:
    counts = np.diag(np.full(100, 90)) + np.eye(100, k=1, dtype=int) * 10
    svg = charts.confusion([f"class {k}" for k in range(100)], counts.tolist())
    assert len(svg) < 30_000 and set(texts(svg)) == {"predicted", "true", "Confusion"}


def test_constant_predictions_and_a_single_row_are_drawn() -> None:
    assert charts.predicted_vs_true([[3.0, 3.0]], "y") and charts.residuals([0.0, 0.0], [1], "y")
    assert charts.calibration([]) and charts.confusion(["a", "b"], [[0, 0], [0, 0]])


def test_numbers_are_short() -> None:
    assert [readable(v) for v in (0, 999, 1000, -2_400_000, 1e-5)] == ["0", "999", "1k", "−2.4M", "1e-05"]
    assert legible("x" * 100) == "x" * 23 + "…"


def test_painting_leaves_matplotlib_as_it_was() -> None:
    before = dict(matplotlib.rcParams)
    paint(lambda figure: None, name="nothing", title="t", description="d")
    assert dict(matplotlib.rcParams) == before
