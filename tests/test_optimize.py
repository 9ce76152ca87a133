"""Optimizers, schedules, groups and clipping against torch.optim, formulas by hand and closed forms."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from deepglass.data.schema import Target
from deepglass.errors import ModelError
from deepglass.training.averaging import Averager
from deepglass.training.muon import Together, hidden_matrices
from deepglass.training.objective import objective_for
from deepglass.training.optimize import (
    clip_gradients,
    decay_groups,
    make_optimizer,
)
from deepglass.training.recipe import Recipe
from nets import Bowl, Deep

RATE, DECAY = 0.05, 0.1


def path(bowl: Bowl, optimizer, steps: int = 12) -> list[Tensor]:
    places = []
    for _ in range(steps):
        optimizer.zero_grad(set_to_none=True)
        bowl.loss().backward()
        optimizer.step()
        places.append(bowl.weight.detach().clone())
    return places


def by_hand(name: str, momentum: float, steps: int = 12) -> list[Tensor]:
    """The formulas of the module's docstring, written out."""
    bowl = Bowl()
    w, v, s, m = bowl.weight.detach().clone(), torch.zeros(6, 1), torch.zeros(6, 1), torch.zeros(6, 1)
    v, s, m = v.double(), s.double(), m.double()
    places = []
    for t in range(1, steps + 1):
        g = bowl.gradient(w) + (0 if name == "adamw" else DECAY * w)
        if name == "sgd":
            w = w - RATE * g
        elif name in ("momentum", "nesterov"):
            v = momentum * v + g
            w = w - RATE * (g + momentum * v if name == "nesterov" else v)
        elif name == "rmsprop":
            s = 0.99 * s + 0.01 * g**2
            w = w - RATE * g / (s.sqrt() + 1e-8)
        else:
            m, s = 0.9 * m + 0.1 * g, 0.999 * s + 0.001 * g**2
            w = w - RATE * DECAY * w if name == "adamw" else w
            w = w - RATE * (m / (1 - 0.9**t)) / ((s / (1 - 0.999**t)).sqrt() + 1e-8)
        places.append(w)
    return places


TORCHS = {
    "sgd": lambda p: torch.optim.SGD(p, RATE, weight_decay=DECAY),
    "momentum": lambda p: torch.optim.SGD(p, RATE, momentum=0.8, weight_decay=DECAY),
    "nesterov": lambda p: torch.optim.SGD(p, RATE, momentum=0.8, weight_decay=DECAY, nesterov=True),
    "rmsprop": lambda p: torch.optim.RMSprop(p, RATE, weight_decay=DECAY),
    "adam": lambda p: torch.optim.Adam(p, RATE, weight_decay=DECAY),
    "adamw": lambda p: torch.optim.AdamW(p, RATE, weight_decay=DECAY),
}


@pytest.mark.parametrize("name", TORCHS)
def test_the_path_on_a_quadratic_is_torchs_and_the_formulas(name):
    ours, theirs = Bowl(), Bowl()
    recipe = Recipe(optimizer=name, learning_rate=RATE, momentum=0.8, weight_decay=DECAY)
    found = path(ours, make_optimizer(ours, recipe))
    for place, torchs, formula in zip(
        found, path(theirs, TORCHS[name](theirs.parameters())), by_hand(name, 0.8), strict=True
    ):
        torch.testing.assert_close(place, torchs, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(place, formula, rtol=1e-10, atol=1e-12)


def descend(model: nn.Module, optimizer, steps: int = 3, between: Callable[[], None] | None = None) -> None:
    x = torch.randn(8, 1, 6, 6, generator=torch.Generator().manual_seed(1))
    for _ in range(steps):
        optimizer.zero_grad()
        model(x).square().mean().backward()
        if between is not None:
            between()
        optimizer.step()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_muon_moves_hidden_matrices_and_flattened_kernels_as_torchs_does(layout):
    ours, theirs = Deep().to(memory_format=layout), Deep()  # type: ignore[call-overload]
    assert {id(w) for w in hidden_matrices(ours)} == {id(ours.middle.weight), id(ours.hidden.weight)}
    recipe = Recipe(optimizer="muon", learning_rate=RATE, momentum=0.9, weight_decay=DECAY)
    optimizer = make_optimizer(ours, recipe)
    assert isinstance(optimizer, Together) and set(optimizer.parts) == {"muon", "adamw"}
    descend(ours, optimizer)

    kernel = nn.Parameter(theirs.middle.weight.detach().flatten(1))
    muon = torch.optim.Muon([theirs.hidden.weight, kernel], RATE, DECAY, momentum=0.9, adjust_lr_fn="match_rms_adamw")
    decayed = [theirs.first.weight, theirs.last.weight]
    plain = [w for n, w in theirs.named_parameters() if "bias" in n or "norm" in n or "codes" in n]
    groups = [{"params": decayed, "weight_decay": DECAY}, {"params": plain, "weight_decay": 0.0}]
    adamw = torch.optim.AdamW(groups, RATE)

    def between() -> None:
        assert theirs.middle.weight.grad is not None
        kernel.grad = theirs.middle.weight.grad.flatten(1)
        muon.step()
        theirs.middle.weight.data = kernel.data.view(6, 4, 3, 3)
        theirs.hidden.weight.grad = theirs.middle.weight.grad = None

    descend(theirs, adamw, between=between)
    for name, weight in theirs.named_parameters():
        # Orthogonalization runs in bfloat16, where the order of the columns rounds differently.
        tolerance = 1e-5 if layout == torch.contiguous_format else 5e-3
        torch.testing.assert_close(dict(ours.named_parameters())[name], weight, rtol=tolerance, atol=tolerance)


def test_muons_step_by_the_formula():
    model = nn.Sequential(nn.Linear(3, 4, bias=False), nn.Linear(4, 6, bias=False), nn.Linear(6, 1, bias=False))
    hidden = next(model[1].parameters())
    before, gradient = hidden.detach().clone(), torch.randn(6, 4, generator=torch.Generator().manual_seed(2))
    optimizer = make_optimizer(model, Recipe(optimizer="muon", learning_rate=RATE, momentum=0.9, weight_decay=DECAY))
    hidden.grad = gradient.clone()
    optimizer.step()
    v = 0.1 * gradient
    direction = 0.1 * gradient + 0.9 * v  # Nesterov's mean of the gradient and the momentum
    left, _, right = torch.linalg.svd(direction, full_matrices=False)
    step = (before * (1 - RATE * DECAY) - hidden.detach()) / (RATE * 0.2 * math.sqrt(6))
    # Five rounds of Newton-Schulz bring singular values near 1, not onto it.
    values = torch.linalg.svdvals(step)
    assert bool((values > 0.6).all()) and bool((values < 1.3).all())
    aligned = left.T @ step @ right.T
    torch.testing.assert_close(aligned, torch.diag(torch.diagonal(aligned)), rtol=0, atol=0.05)


def test_muon_without_a_hidden_matrix_is_refused():
    with pytest.raises(ModelError, match="hidden matrices"):
        make_optimizer(nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 1)), Recipe(optimizer="muon"))


@pytest.mark.parametrize("name", [*TORCHS, "muon"])
def test_a_saved_optimizer_goes_on_to_the_same_bits(name):
    recipe = Recipe(optimizer=name, learning_rate=0.01, weight_decay=DECAY)
    whole, broken = Deep(), Deep()
    optimizer = make_optimizer(whole, recipe)
    descend(whole, optimizer, 6)
    first = make_optimizer(broken, recipe)
    descend(broken, first, 3)
    saved = first.state_dict()
    resumed = Deep()
    resumed.load_state_dict(broken.state_dict())
    second = make_optimizer(resumed, recipe)
    second.load_state_dict(saved)
    descend(resumed, second, 3)
    for ours, theirs in zip(resumed.parameters(), whole.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_weight_decay_spares_biases_gains_and_embeddings():
    model = Deep()
    model.member_bias = nn.Parameter(torch.ones(4, 2))
    model.layer = nn.LayerNorm([3, 2])
    decays, spared = decay_groups(model, Recipe(weight_decay=DECAY))
    assert decays["weight_decay"] == DECAY and spared["weight_decay"] == 0.0
    names = {id(weight): name for name, weight in model.named_parameters()}
    assert {names[id(w)] for w in decays["params"]} == {"first.weight", "middle.weight", "hidden.weight", "last.weight"}
    assert len(decays["params"]) + len(spared["params"]) == len(names)
    assert [group["weight_decay"] for group in decay_groups(model, Recipe())] == [0.0]
    (every,) = decay_groups(model, Recipe(weight_decay=DECAY, decay_all=True))
    assert len(every["params"]) == len(names) and every["weight_decay"] == DECAY


def test_decay_alone_shrinks_the_weight_and_not_the_bias():
    for decay_all, name in itertools.product((False, True), ("sgd", "adamw")):
        model = nn.Linear(3, 2)
        weight, bias = model.weight.detach().clone(), model.bias.detach().clone()
        optimizer = make_optimizer(
            model, Recipe(optimizer=name, learning_rate=0.1, weight_decay=0.5, decay_all=decay_all)
        )
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
        torch.testing.assert_close(model.weight.detach(), weight * 0.95)
        torch.testing.assert_close(model.bias.detach(), bias * (0.95 if decay_all else 1.0))


def test_adams_decay_passes_through_its_means_and_adamws_does_not():
    steps = {}
    for name in ("adam", "adamw"):
        model = nn.Linear(3, 2, bias=False)
        nn.init.constant_(model.weight, 2.0)
        optimizer = make_optimizer(model, Recipe(optimizer=name, learning_rate=0.1, weight_decay=0.5))
        model.weight.grad = torch.zeros_like(model.weight)
        optimizer.step()
        steps[name] = 2.0 - float(model.weight[0, 0].detach())
    assert steps["adam"] == pytest.approx(0.1, rel=1e-5)  # the sign of λw, whatever its size
    assert steps["adamw"] == pytest.approx(0.1 * 0.5 * 2.0, rel=1e-5)


def test_only_free_weights_move_and_none_at_all_is_refused():
    model = Deep()
    model.first.requires_grad_(False)
    frozen = model.first.weight.detach().clone()
    optimizer = make_optimizer(model, Recipe(weight_decay=DECAY))
    assert all(w.requires_grad for group in optimizer.param_groups for w in group["params"])
    descend(model, optimizer)
    assert torch.equal(model.first.weight, frozen)
    with pytest.raises(ModelError, match="nothing can be learned"):
        make_optimizer(model.requires_grad_(False), Recipe())


@pytest.mark.parametrize("size, epochs", [(60, 1500), (20, 500), (1, 30)], ids=["batch", "mini-batch", "stochastic"])
def test_descent_finds_the_least_squares_solution(size, epochs):
    source = np.random.default_rng(0)
    x, noise = source.normal(size=(60, 3)), 0.0 if size < 60 else 0.3
    y = x @ [1.0, -2.0, 0.5] + 0.7 + noise * source.normal(size=60)
    design = np.column_stack([x, np.ones(60)])
    solution = np.linalg.lstsq(design, y, rcond=None)[0]
    model = nn.Linear(3, 1).double()
    optimizer = make_optimizer(model, Recipe(optimizer="sgd", learning_rate=0.06))
    inputs, target = torch.from_numpy(x), torch.from_numpy(y)[:, None]
    for epoch in range(epochs):
        order = torch.from_numpy(np.random.default_rng(epoch).permutation(60))
        for rows in order.split(size):
            optimizer.zero_grad()
            (0.5 * (model(inputs[rows]) - target[rows]).square().mean()).backward()
            optimizer.step()
    found = [*model.weight.detach()[0].tolist(), float(model.bias.detach())]
    np.testing.assert_allclose(found, solution, rtol=0, atol=1e-6)


@pytest.mark.parametrize("limit", [0.0, 0.5, 1e6])
def test_clipping_scales_by_torchs_norm_and_gives_the_norm_before(limit):
    ours, theirs = Deep(), Deep()
    for model in (ours, theirs):
        model(torch.ones(4, 1, 6, 6)).square().sum().backward()
    ours.codes.weight.grad = theirs.codes.weight.grad = None
    by_hand = math.sqrt(sum(float(w.grad.double().square().sum()) for w in ours.parameters() if w.grad is not None))
    norm = clip_gradients(tuple(ours.parameters()), limit)
    assert float(norm) == pytest.approx(by_hand, rel=1e-5)
    if limit:
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), limit)
    for left, right in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert (left.grad is None) == (right.grad is None)
        if left.grad is not None and right.grad is not None:
            torch.testing.assert_close(left.grad, right.grad)


def test_exploding_gradients_are_brought_to_the_limit():
    weight = nn.Parameter(torch.zeros(3))
    weight.grad = torch.tensor([3e20, 4e20, 0.0])
    assert math.isinf(float(clip_gradients([weight], 1.0)))  # the sum of squares is past float32
    assert torch.equal(weight.grad, torch.zeros(3))
    weight.grad = torch.tensor([3e10, 4e10, 0.0])
    assert float(clip_gradients([weight], 1.0)) == pytest.approx(5e10)
    torch.testing.assert_close(weight.grad, torch.tensor([0.6, 0.8, 0.0]))
    assert float(clip_gradients([nn.Parameter(torch.zeros(2))], 1.0)) == 0.0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
@pytest.mark.parametrize("name", [*TORCHS, "muon"])
def test_a_step_on_a_gpu_is_the_step_on_the_cpu(name):
    near, far = Deep(), Deep()
    far.cuda()
    recipe = Recipe(optimizer=name, learning_rate=0.01, weight_decay=DECAY, class_weights=(1.0, 3.0), average="ema")
    objective = objective_for(recipe, Target("sick", "multiclass", ("no", "yes"), (5, 5)))
    x, target = torch.randn(8, 1, 6, 6, generator=torch.Generator().manual_seed(1)), torch.tensor([0, 1] * 4)
    for model, device in ((near, "cpu"), (far, "cuda")):
        optimizer, averager = make_optimizer(model, recipe), Averager(model, recipe, 1)
        outputs = model(x.to(device))
        objective.loss(outputs, target.to(device)).backward()
        clip_gradients(tuple(model.parameters()), 0.1)
        optimizer.step()
        averager.update(0)
        assert objective.read(outputs).device.type == objective.measure(target.to(device)).device.type == device  # type: ignore[union-attr]
    for left, right in zip(near.parameters(), far.parameters(), strict=True):
        torch.testing.assert_close(left, right.cpu(), rtol=1e-3, atol=2e-3)
