"""The two checks catch what was planted: an edge detector, noise, zeros; and let through what is right."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn
from torch.nn import functional

from deepglass.explaining.attributing import Values, every_row, everywhere, integrated_gradients, scores
from deepglass.explaining.attribution import attribute
from deepglass.explaining.attribution_checks import Check, _correlation, random_weights, verdict_of
from deepglass.explaining.blending import Blend
from deepglass.explaining.scoring import Score
from deepglass.explaining.unharmed import unharmed


def strokes(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """A bar in a picture of faint noise, upright or lying: two classes."""
    draw = torch.Generator().manual_seed(seed)
    given, label = 0.05 * torch.rand(count, 1, 14, 14, generator=draw), torch.arange(count) % 2
    for row, kind in enumerate(label.tolist()):
        down, across = torch.randint(0, 9, (2,), generator=draw).tolist()
        high, wide = (6, 2) if kind == 0 else (2, 6)
        given[row, 0, down : down + high, across : across + wide] = 1.0
    return given, label


@functools.cache
def trained() -> nn.Module:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(392, 2),
    )  # fmt: skip
    given, label = strokes(256)
    mover = torch.optim.Adam(net.parameters(), 5e-3)
    for _ in range(40):
        mover.zero_grad()
        functional.cross_entropy(net(given), label).backward()
        mover.step()
    other, truth = strokes(64, seed=1)
    assert float((net(other).argmax(1) == truth).float().mean()) > 0.9
    return net


def edges(blend: Blend, score: Score) -> Values:
    """Where the picture changes: a picture of the picture, whatever the net."""
    given = blend.of(0)
    kernel = torch.tensor([[0.0, -1.0, 0.0], [-1.0, 4.0, -1.0], [0.0, -1.0, 0.0]]).reshape(1, 1, 3, 3)
    return (functional.conv2d(given, kernel, padding=1).abs(),)


def noise(blend: Blend, score: Score) -> Values:
    # Different for every net, so that it is the deletion that has to tell.
    seed = 0 if blend.weights is None else int(1e6 * float(next(iter(blend.weights.values())).abs().sum()))
    return (torch.randn(blend.of(0).shape, generator=torch.Generator().manual_seed(seed)),)


def nothing(blend: Blend, score: Score) -> Values:
    return (torch.zeros_like(blend.of(0)),)


def told(method: object) -> tuple[dict[str, bool | None], str]:
    found = attribute(trained(), strokes(6, seed=2)[0], method=method)  # type: ignore[arg-type]
    return {check.name: check.passed for check in found.checks}, found.verdict


@pytest.mark.parametrize("method", ["grad_cam", "integrated_gradients", "occlusion", "gradient_times_input"])
def test_what_follows_the_net_passes(method: str) -> None:
    checks, verdict = told(method)
    assert checks == {"deletion and insertion": True, "random weights": True}
    assert verdict == "passes both checks"


def test_an_edge_detector_does_not_depend_on_what_was_learned() -> None:
    checks, verdict = told(edges)
    assert checks["random weights"] is False
    assert verdict == "fails: this map does not depend on what the network learned"


def test_noise_is_not_followed_by_the_net() -> None:
    checks, verdict = told(noise)
    assert checks == {"deletion and insertion": False, "random weights": True}
    assert verdict == "fails: the network does not follow this map more than a random one"


def test_an_empty_map_fails() -> None:
    assert told(nothing)[0]["random weights"] is False


def test_a_method_that_fails_gives_way_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    others = {"grad_cam": edges, "integrated_gradients": integrated_gradients, "occlusion": edges}
    monkeypatch.setattr("deepglass.explaining.attribution.METHODS", others)
    monkeypatch.setattr("deepglass.explaining.attribution.grad_cam", lambda blend, score, layer: edges(blend, score))
    found = attribute(trained(), strokes(6, seed=2)[0])
    assert found.method == "integrated_gradients" and found.trusted
    assert found.why.startswith("Integrated gradients passes its checks; Grad-CAM does not pass")


def test_what_cannot_be_told_is_not_called_right() -> None:
    found = attribute(lambda x: x.sum(1), torch.randn(3, 1), method="integrated_gradients")
    assert [check.passed for check in found.checks] == [None, None]
    assert found.trusted and "as far as can be told" in found.verdict
    flat = attribute(nn.Linear(4, 1), torch.zeros(3, 4), method="occlusion")
    assert "nothing to explain" in flat.checks[0].words and verdict_of(()) == "not checked"


def test_areas_have_a_closed_form_for_a_sum() -> None:
    # f = Σ w x from zeros: taking the largest first leaves the known partial sums, at 2 … 8 of 10 parts.
    net = nn.Linear(10, 1, bias=False)
    weight = torch.linspace(1, 10, 10)
    with torch.no_grad():
        net.weight.copy_(weight)
    (check, _) = attribute(net, torch.ones(2, 10), method="gradient_times_input").checks
    steps = np.array([0, 2, 3, 5, 7, 8, 10])
    falling = weight.flip(0).numpy() / float(weight.sum())
    kept = np.array([1 - falling[:step].sum() for step in steps])
    expected = np.trapezoid(1 - kept, steps / 10) - np.trapezoid(kept, steps / 10)
    assert check.passed and check.figure == pytest.approx(expected, abs=1e-5)


def test_ranks_agree_with_scipy() -> None:
    draw = torch.Generator().manual_seed(0)
    one, two = torch.randint(0, 6, (2, 50), generator=draw).float()
    used = (one != 0) | (two != 0)
    theirs: Any = spearmanr(one[used], two[used])
    assert _correlation(one, two) == pytest.approx(theirs[0])
    assert np.isnan(_correlation(torch.tensor([1.0, 2.0, 0.0]), torch.tensor([1.0, 2.0, 0.0])))


def test_random_weights_keep_sizes_and_the_net() -> None:
    net = trained()
    before = {name: weight.clone() for name, weight in net.state_dict().items()}
    drawn = random_weights(net, 0)
    for name, weight in net.named_parameters():
        assert drawn[name].shape == weight.shape and not torch.equal(drawn[name], weight)
        assert float(drawn[name].norm() / weight.detach().norm()) == pytest.approx(1.0, abs=0.3)
        assert torch.equal(weight, before[name])


def test_a_share_is_spread_exactly() -> None:
    net = trained()
    given = strokes(2)[0]
    with unharmed(net):
        blend = Blend(net, net, "net", (given,), (None,), (0,), (torch.zeros(1, 1, 14, 14),), chunk=1)
        score = Score(("class 0",) * 2, index=torch.zeros(2, dtype=torch.int64))
        for share in (0.0, 0.25, 1.0):
            found = scores(blend, score, every_row(blend), everywhere(blend, share))
            torch.testing.assert_close(found, net(share * given)[:, 0].detach())


def test_a_check_reads_aloud() -> None:
    assert str(Check("random weights", False, 0.9, 0.5, "Alike.")) == "random weights: FAILS. Alike."
