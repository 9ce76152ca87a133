"""Attribution against captum, closed forms and autograd; and nothing left behind."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from deepglass.errors import ModelError
from deepglass.explaining.attributing import grad_cam, integrated_gradients, occlusion
from deepglass.explaining.attribution import METHODS, Attribution, attribute
from deepglass.explaining.heatmap import drawn
from reader_net import Reader
from zoo import ZOO

NEAR = 1e-5


def convolution(outputs: int = 5) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 3, padding=1), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(216, outputs),
    )  # fmt: skip


def pictures(count: int = 3) -> Tensor:
    return torch.randn(count, 2, 12, 12, generator=torch.Generator().manual_seed(1))


def leaf(given: Tensor) -> Tensor:
    return given.clone().requires_grad_()


def test_gradient_methods_agree_with_captum() -> None:
    captum = pytest.importorskip("captum.attr")
    net, given = convolution().eval(), pictures()
    goal = net(given).argmax(1)
    found = attribute(net, given, method="gradient_times_input", checks=0).values[0]
    torch.testing.assert_close(found, captum.InputXGradient(net).attribute(leaf(given), target=goal), atol=NEAR, rtol=0)
    base = torch.full_like(given[:1], 0.3)
    steps = functools.partial(integrated_gradients, steps=20)
    found = attribute(net, given, method=steps, baseline=base, checks=0).values[0]
    theirs = captum.IntegratedGradients(net).attribute(leaf(given), base, target=goal, n_steps=20)
    torch.testing.assert_close(found, theirs, atol=NEAR, rtol=0)


def test_occlusion_agrees_with_captum() -> None:
    captum = pytest.importorskip("captum.attr")
    net, given = convolution().eval(), pictures()
    method = functools.partial(occlusion, window=(1, 5, 4), stride=(1, 3, 3))
    found = attribute(net, given, 2, method=method, baseline=0.5, checks=0).values[0]
    theirs = captum.Occlusion(net).attribute(given, (1, 5, 4), strides=(1, 3, 3), baselines=0.5, target=2)
    torch.testing.assert_close(found, theirs, atol=NEAR, rtol=0)


def test_grad_cam_agrees_with_captum_and_finds_its_layer() -> None:
    captum = pytest.importorskip("captum.attr")
    net, given = convolution().eval(), pictures()
    goal = net(given).argmax(1)
    found = attribute(net, given, method="grad_cam", checks=0)
    assert found.layer == "5"  # the activation of the last convolution
    coarse = captum.LayerGradCam(net, net[5]).attribute(leaf(given), target=goal, relu_attributions=True)
    theirs = captum.LayerAttribution.interpolate(coarse, (12, 12), "bilinear")
    assert found.values[0].shape == (3, 1, 12, 12) and bool(theirs.any())
    torch.testing.assert_close(found.values[0], theirs, atol=NEAR, rtol=0)


@pytest.mark.parametrize("method", ["gradient_times_input", "integrated_gradients", "occlusion"])
def test_a_linear_net_has_a_closed_form(method: str) -> None:
    net = nn.Linear(6, 3).double()
    given, base = torch.randn(5, 6, dtype=torch.float64), torch.randn(1, 6, dtype=torch.float64)
    found = attribute(net, given, 1, method=method, baseline=base, checks=0)  # type: ignore[arg-type]
    torch.testing.assert_close(found.values[0], net.weight[1].detach() * (given - base), atol=1e-9, rtol=0)
    torch.testing.assert_close(found.score - found.reference, found.values[0].sum(1), atol=1e-9, rtol=0)


def test_integrated_gradients_are_complete() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))
    found = attribute(net, 5 * torch.randn(6, 4), method="integrated_gradients", checks=0)
    change, total = found.score - found.reference, found.values[0].sum(1)
    assert found.gap is not None and found.gap < 0.01 and not found.notes
    assert float(((total - change).abs() / change.abs().clamp_min(float(change.abs().mean()) / 20)).max()) < 0.01


def test_permutation_is_of_the_column_that_is_used() -> None:
    given = torch.randn(64, 3)
    found = attribute(lambda x: 2 * x[:, 1], given, checks=0)
    assert found.method == "permutation" and "shuffled" in found.why
    importance = found.importance[0]
    assert float(importance[0]) == float(importance[2]) == 0
    # E |2 (x − x')| of independent draws.
    pairs = 2 * (given[:, 1][:, None] - given[:, 1][None, :]).abs().mean()
    assert float(importance[1]) == pytest.approx(float(pairs), rel=0.15)


def test_chunks_keep_within_the_budget() -> None:
    seen: list[int] = []
    net = convolution()
    net.register_forward_hook(lambda module, inputs, output: seen.append(len(inputs[0])))
    given = pictures(8)
    whole = attribute(net, given, 0, method="integrated_gradients", checks=0)
    assert max(seen) > 16
    seen.clear()
    small = attribute(net, given, 0, method="integrated_gradients", budget=100_000, checks=0)
    assert 1 <= max(seen) <= 8  # about 14 kB an example
    torch.testing.assert_close(small.values[0], whole.values[0], atol=1e-5, rtol=1e-3)


def state_of(net: nn.Module) -> list[object]:
    return [[module.training for module in net.modules()], [len(module._forward_hooks) for module in net.modules()],
            [weight.requires_grad for weight in net.parameters()], [str(weight.grad) for weight in net.parameters()],
            [tensor.tolist() for tensor in net.state_dict().values()], torch.get_rng_state().tolist(),
            torch.is_grad_enabled()]  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
def test_nothing_is_left_behind(method: str) -> None:
    net = convolution().train()
    net[0].eval()
    net[7].requires_grad_(requires_grad=False)
    given = pictures(3)
    if method == "permutation":
        net, given = (
            nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(), nn.Linear(6, 3)),
            torch.randn(40, 4),
        )
    net(given).sum().backward()
    before = state_of(net)
    attribute(net, given, method=method)  # type: ignore[arg-type]
    with torch.no_grad():
        attribute(net, given, method=method, checks=0)  # type: ignore[arg-type]
    assert state_of(net) == before


def test_nothing_is_left_behind_where_the_net_raises() -> None:
    class Breaks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm1d(3)
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, x: Tensor) -> Tensor:
            self.calls = self.calls + torch.rand(())
            if len(x) > 1:
                raise RuntimeError("no more than one")
            return self.norm(x)

    net, given = Breaks().train(), torch.randn(4, 3)
    before = state_of(net)
    with pytest.raises((ModelError, RuntimeError), match="no more than one"):
        attribute(net, given)
    assert state_of(net) == before


def test_frozen_weights_inference_mode_and_a_thing_with_a_model() -> None:
    net = convolution()
    net.requires_grad_(requires_grad=False)
    with torch.inference_mode():
        found = attribute(SimpleNamespace(model=net), pictures(), method="gradient_times_input", checks=0)
    assert bool(found.values[0].any())


@pytest.mark.parametrize(("options", "said"), [
    ({"layer": "44", "method": "grad_cam"}, "no layer is called '44'"),
    ({"layer": "7", "method": "grad_cam"}, r"layer '7' gives \(3, 5\).*try '5'"),
    ({"method": "grad_cm"}, "take 'grad_cam'"),
    ({"target": 9}, "from 0 to 4"),
    ({"target": [1, 2]}, "one an example"),
    ({"baseline": "white"}, "zero, mean, blur"),
    ({"baseline": torch.zeros(7)}, "does not spread"),
])  # fmt: skip
def test_what_does_not_fit_is_told(options: dict[str, object], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        attribute(convolution(), pictures(), checks=0, **options)  # type: ignore[arg-type]


def test_examples_that_answer_to_each_other_are_told() -> None:
    with pytest.raises(ModelError, match="examples answer to each other"):
        attribute(lambda x: x @ x.T, torch.randn(3, 4), 2, method="integrated_gradients")


def test_wrong_shapes_and_no_gradient_are_told() -> None:
    with pytest.raises(ModelError, match=r"Sequential raised on float32 \(3, 1, 12, 12\)"):
        attribute(convolution(), torch.randn(3, 1, 12, 12))
    with pytest.raises(ModelError, match="answers with int64"):
        attribute(lambda x: x.argmax(1), torch.randn(3, 4))
    with pytest.raises(ModelError, match="no gradient comes"):
        attribute(lambda x: x.detach().sum(1), torch.randn(3, 4), method="gradient_times_input")
    with pytest.raises(ModelError, match="cannot be looked into"):
        attribute("net", torch.randn(3, 4))


@pytest.mark.parametrize("kind", ["picture", "table", "sequence"])
def test_a_drawing_holds_the_verdict_and_escapes_words(kind: str) -> None:
    cases: dict[str, Callable[[], Attribution]] = {
        "picture": lambda: attribute(convolution(), pictures()),
        "table": lambda: attribute(nn.Linear(4, 1), torch.randn(3, 4)),
        "sequence": lambda: attribute(Reader(), torch.randint(1, 11, (2, 6))),
    }
    found = cases[kind]()
    picture = drawn(found, words=["<b>&"] * 6)
    assert found.kind == kind and "Verdict: " in picture and "<b>" not in picture
    assert str(found).endswith(f"Verdict: {found.verdict}.")
    assert picture == drawn(found, words=["<b>&"] * 6)
    assert "<style" not in drawn(found, standalone=False)


def test_the_named_layer_is_taken_by_grad_cam() -> None:
    found = attribute(convolution(), pictures(), layer="2", checks=0)
    assert found.method == "grad_cam" and found.layer == "2"
    whole = functools.partial(grad_cam, layer="2")
    torch.testing.assert_close(found.values[0], attribute(convolution(), pictures(), method=whole, checks=0).values[0])


@pytest.mark.parametrize("name", ["Mixtral", "T5", "Detr", "Whisper", "LSTM"])
def test_nets_that_others_wrote_are_explained(name: str) -> None:
    animal = ZOO[name]
    found = attribute(animal.made(), animal.inputs(), checks=1)
    assert all(bool(torch.isfinite(entry).all()) for entry in found.values) and any(map(torch.any, found.values))
    assert len(found.checks) == 2 and found.verdict != "not checked"
