"""One law suite for every family: a new family is covered by its rows in MEMBERS.

The references are written a second time, in NumPy and loops over examples, from the formulas and not from the code.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from scipy.signal import correlate2d
from scipy.special import expit, softmax
from torch import Tensor
from torch.nn import functional

from deepglass.data.schema import Batch, Input, Schema, Target
from deepglass.models import CATALOGUE
from deepglass.models.family import Family

EDGES = ((-2.0, -1.0, -0.5, -0.25, 1.75), (-0.5, 0.5), (0.3,), *[(-1.5, -0.5, 1.5)] * 6)
NUMBERS = Input("numbers", "numbers", (9,), tuple("abcdefghi"), quantiles=EDGES)
CODES = Input("codes", "codes", (2,), ("color", "town"), sizes=(4, 12))
FEATURES = Input("features", "numbers", (2, 6))
GRAY = Input("picture", "pixels", (1, 8, 8), mean=(0.1,), std=(0.3,))
COLOR = Input("picture", "pixels", (3, 9, 6), mean=(0.4, 0.4, 0.4), std=(0.2, 0.2, 0.2))
BINARY = Target("y", "binary", ("no", "yes"), (5, 5))
CLASSES = Target("y", "multiclass", ("a", "b", "c"), (3, 3, 4))
VALUES = Target("y", "regression", mean=(0.0, 1.0), std=(1.0, 2.0))


@dataclass(frozen=True)
class Member:
    family: str
    schema: Schema
    options: dict[str, Any] = field(default_factory=dict)

    def made(self, *, stirred: bool = False, dropout: bool = True) -> Family:
        """The network in float64. Stirred: no weight or running statistic is left at a value that hides a mistake."""
        torch.manual_seed(3)
        model = CATALOGUE[self.family].from_schema(self.schema, **self.options).double()
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout) and not dropout:
                module.p = 0.0
        with torch.no_grad():
            for name, tensor in model.state_dict().items() if stirred else ():
                if tensor.is_floating_point():
                    tensor += 0.2 * (torch.rand_like(tensor) if "var" in name else torch.randn_like(tensor))
        return model

    def batch(self, count: int) -> Batch:
        generator = torch.Generator().manual_seed(5)
        inputs = []
        for entry in self.schema.inputs:
            if entry.kind == "codes":
                columns = [torch.arange(count)[torch.randperm(count, generator=generator)] % s for s in entry.sizes]
                inputs.append(torch.stack(columns, dim=1))
            else:
                inputs.append(torch.randn(count, *entry.shape, generator=generator, dtype=torch.float64))
        target = self.schema.target
        if target.task == "regression":
            goal = torch.randn(count, len(target.mean), generator=generator, dtype=torch.float64)
        else:
            goal = torch.arange(count) % len(target.classes)
        return Batch(tuple(inputs), goal, torch.arange(count))


def tables(target: Target, *inputs: Input) -> Schema:
    return Schema("table", inputs or (NUMBERS, CODES), target)


SMALL = {"widths": (8, 7), "embedding_width": 3}
MEMBERS: dict[str, Member] = {
    "neuron linear": Member("neuron", tables(VALUES)),
    "neuron logistic": Member("neuron", tables(BINARY)),
    "neuron softmax": Member("neuron", Schema("picture", (COLOR,), CLASSES)),
    "neuron perceptron": Member("neuron", tables(BINARY), {"activation": "step"}),
    "neuron perceptron of classes": Member("neuron", Schema("tensor", (FEATURES,), CLASSES), {"activation": "step"}),
    "mlp plain": Member("mlp", Schema("tensor", (FEATURES,), BINARY), {"widths": (9, 8), "dropout": 0.1}),
    "mlp of pictures": Member("mlp", Schema("picture", (GRAY,), CLASSES), {"widths": (9,), "activation": "gelu"}),
    "mlp normalized": Member("mlp", tables(CLASSES), SMALL | {"members": 1, "normalization": "batch"}),
    "mlp periodic": Member("mlp", tables(BINARY), SMALL | {"members": 1, "embedding": "periodic"}),
    "mlp piecewise": Member("mlp", tables(VALUES), SMALL | {"members": 1, "embedding": "piecewise"}),
    "mlp ensemble of numbers": Member("mlp", tables(VALUES), SMALL | {"members": 3}),
    "mlp ensemble of two classes": Member("mlp", tables(BINARY), SMALL | {"members": 3, "activation": "tanh"}),
    "mlp ensemble of classes": Member("mlp", tables(CLASSES, NUMBERS), SMALL | {"members": 2, "widths": (9, 8, 7)}),
    "convolution gray": Member("convolution", Schema("picture", (GRAY,), BINARY), {"widths": (4, 6), "dense": 8}),
    "convolution color": Member(
        "convolution", Schema("picture", (COLOR,), CLASSES),
        {"widths": (4, 5), "depth": 1, "dense": 7, "normalization": "none", "dropout": 0.1, "activation": "silu"},
    ),
    "convolution deep": Member(
        "convolution", Schema("picture", (COLOR,), VALUES),
        {"widths": (6, 6, 8, 16), "depth": 2, "dense": 0, "kernel": 5},
    ),
}  # fmt: skip


class Judge:
    """The criterion, straight from PyTorch."""

    def __init__(self, task: str) -> None:
        self.task = task

    def loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        if self.task == "binary":
            return functional.binary_cross_entropy_with_logits(outputs[:, 0], target.to(outputs.dtype))
        return (
            functional.mse_loss(outputs, target)
            if self.task == "regression"
            else functional.cross_entropy(outputs, target)
        )

    def measure(self, target: Tensor) -> float:
        return float(len(target))


def loss_of(member: Member, model: Family, batch: Batch) -> Tensor:
    (turn,) = model.turns(Judge(member.schema.target.task))
    assert turn.player is model
    return turn.loss(batch)


# ---------------------------------------------------------------------------------------------------------- references

NONLINEAR: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "relu": lambda z: np.maximum(z, 0),
    "tanh": np.tanh,
    "silu": lambda z: z * expit(z),
    "gelu": lambda z: z * 0.5 * (1 + np.vectorize(math.erf)(z / math.sqrt(2))),
}


def one_hot(code: int, size: int) -> np.ndarray:
    return np.eye(size)[code][1:]


def bent(x: float, edges: tuple[float, ...], weight: np.ndarray) -> np.ndarray:
    """Σ_t W_t e_t(x), bin by bin; the outermost bins go on for one more beyond their edges."""
    total = np.zeros(weight.shape[1])
    for t, (low, high) in enumerate(itertools.pairwise(edges)):
        place = (x - low) / (high - low)
        place = max(place, -1.0 if t == 0 else 0.0)
        place = min(place, 2.0 if t == len(edges) - 2 else 1.0)
        total += place * weight[t]
    return total


def row_features(member: Member, w: dict[str, np.ndarray], row: list[np.ndarray]) -> np.ndarray:
    parts: list[np.ndarray] = []
    embedding = member.options.get("embedding", "piecewise")
    for place, (entry, value) in enumerate(zip(member.schema.inputs, row, strict=True)):
        own = {
            key.removeprefix(f"features.readings.{place}."): v for key, v in w.items() if f"readings.{place}." in key
        }
        if entry.kind == "codes" and member.family == "neuron":
            parts += [one_hot(code, size) for code, size in zip(value, entry.sizes, strict=True)]
        elif entry.kind == "codes":
            parts += [one_hot(value[0], 4), own["tables.0.weight"][value[1]]]
        elif member.schema.kind != "table" or member.family == "neuron":
            parts.append(value.reshape(-1))
        elif embedding == "piecewise":
            for column, x in enumerate(value):
                curve = bent(x, EDGES[column], own["weight"][column])
                parts.append(own["linear"][column] * x + own["bias"][column] + curve)
        else:
            for column, x in enumerate(value):
                angle = 2 * np.pi * own["frequencies"][column] * x
                waves = np.concatenate([np.cos(angle), np.sin(angle)])
                parts.append(np.maximum(own["mix.weight"] @ waves + own["mix.bias"], 0))
    return np.concatenate(parts)


def neuron_reference(member: Member, w: dict[str, np.ndarray], row: list[np.ndarray]) -> np.ndarray:
    return w["synapses.weight"] @ row_features(member, w, row) + w["synapses.bias"]


def normalized(x: np.ndarray, w: dict[str, np.ndarray], name: str) -> np.ndarray:
    wide = (-1,) + (1,) * (x.ndim - 1)
    mean, var, gain, bias = (w[f"{name}.{k}"].reshape(wide) for k in ("running_mean", "running_var", "weight", "bias"))
    return (x - mean) / np.sqrt(var + 1e-5) * gain + bias


def mlp_reference(member: Member, w: dict[str, np.ndarray], row: list[np.ndarray]) -> np.ndarray:
    act = NONLINEAR[member.options.get("activation", "relu")]
    x0 = row_features(member, w, row)
    layers = sorted({int(key.split(".")[1]) for key in w if key.startswith("body.")})
    members = member.options.get("members", 1)
    answers = []
    for k in range(members):
        x = x0 * w["body.0.gain"][k] if members > 1 else x0
        for layer in layers[1:] if members > 1 else layers:
            name = f"body.{layer}"
            if f"{name}.running_mean" in w:
                x = act(normalized(x, w, name))
            elif layer == layers[-1]:
                x = x @ w[f"{name}.weight"][k] + w[f"{name}.bias"][k] if members > 1 else (
                    w[f"{name}.weight"] @ x + w[f"{name}.bias"])  # fmt: skip
            elif members > 1:
                x = w[f"{name}.linear.weight"] @ (x * w.get(f"{name}.gain_in", np.ones((members, 1)))[k])
                x = act(x * w[f"{name}.gain_out"][k] + w[f"{name}.bias"][k])
            else:
                x = w[f"{name}.weight"] @ x + w.get(f"{name}.bias", 0.0)
                x = x if f"body.{layer + 1}.running_mean" in w else act(x)
        answers.append(x)
    if members == 1 or member.schema.target.task == "regression":
        return np.mean(answers, axis=0)
    if member.schema.target.task == "binary":
        chance = np.mean([expit(z) for z in answers], axis=0)
        return np.log(chance / (1 - chance))
    return np.log(np.mean([softmax(z) for z in answers], axis=0))


def convolution_reference(member: Member, w: dict[str, np.ndarray], row: list[np.ndarray]) -> np.ndarray:
    act = NONLINEAR[member.options.get("activation", "relu")]
    maps = row[0]
    stages = sorted({int(key.split(".")[1]) for key in w if key.startswith("stages.")})
    for stage in stages:
        layers = sorted({int(key.split(".")[2]) for key in w if key.startswith(f"stages.{stage}.")})
        for layer in layers:
            name = f"stages.{stage}.{layer}"
            if w[f"{name}.weight"].ndim != 4:
                continue
            bias = w.get(f"{name}.bias", np.zeros(len(w[f"{name}.weight"])))
            maps = np.stack([sum(correlate2d(m, f, mode="same") for m, f in zip(maps, filters, strict=True)) + b
                             for filters, b in zip(w[f"{name}.weight"], bias, strict=True)])  # fmt: skip
            if f"stages.{stage}.{layer + 1}.running_mean" in w:
                maps = normalized(maps, w, f"stages.{stage}.{layer + 1}")
            maps = act(maps)
        _, height, width = maps.shape
        if min(height, width) >= 2:
            cut = maps[:, : height // 2 * 2, : width // 2 * 2]
            maps = cut.reshape(len(maps), height // 2, 2, width // 2, 2).max(axis=(2, 4))
    x = maps.reshape(-1)
    heads = sorted({int(key.split(".")[1]) for key in w if key.startswith("head.")})
    for layer in heads:
        x = w[f"head.{layer}.weight"] @ x + w[f"head.{layer}.bias"]
        x = x if layer == heads[-1] else act(x)
    return x


REFERENCES = {"neuron": neuron_reference, "mlp": mlp_reference, "convolution": convolution_reference}

# ---------------------------------------------------------------------------------------------------------------- laws


def gradients_are_finite_differences(member: Member, folder: Any) -> None:
    batch = member.batch(4)
    for training in (True, False):
        model = member.made(stirred=True, dropout=False).train(training)
        weights = dict(model.named_parameters())
        floats = [tensor.requires_grad_() for tensor in batch.inputs if tensor.is_floating_point()]

        def outputs(*values: Tensor) -> Tensor:
            given = iter(values)
            inputs = tuple(next(given) if tensor.is_floating_point() else tensor for tensor in batch.inputs)
            return torch.func.functional_call(model, dict(zip(weights, given, strict=True)), inputs)  # noqa: B023

        assert torch.autograd.gradcheck(outputs, (*floats, *weights.values()), fast_mode=True, atol=1e-6)


def agrees_with_a_reference(member: Member, folder: Any) -> None:
    model, batch = member.made(stirred=True).eval(), member.batch(12)
    weights = {name: tensor.detach().numpy() for name, tensor in model.state_dict().items()}
    rows = [[tensor[i].numpy() for tensor in batch.inputs] for i in range(len(batch))]
    expected = np.stack([REFERENCES[member.family](member, weights, row) for row in rows])
    assert expected.shape == (12, member.schema.target.outputs)
    np.testing.assert_allclose(model(*batch.inputs).detach().numpy(), expected, rtol=1e-9, atol=1e-9)


def uses_every_input(member: Member, folder: Any) -> None:
    model, batch = member.made(stirred=True).eval(), member.batch(24)
    before = model(*batch.inputs)
    for place, (entry, tensor) in enumerate(zip(member.schema.inputs, batch.inputs, strict=True)):
        for spot in itertools.product(*map(range, entry.shape)):
            altered = tensor.clone()
            index = (slice(None), *spot)
            altered[index] = (
                (tensor[index] + 1) % entry.sizes[spot[0]] if entry.kind == "codes" else tensor[index] + 0.5
            )
            inputs = (*batch.inputs[:place], altered, *batch.inputs[place + 1 :])
            assert (model(*inputs) - before).abs().max() > 1e-9, f"{entry.name}{spot} changes nothing"


def examples_are_independent(member: Member, folder: Any) -> None:
    model, batch = member.made(stirred=True).eval(), member.batch(6)
    together = model(*batch.inputs)
    alone = torch.cat([model(*(tensor[i : i + 1] for tensor in batch.inputs)) for i in range(len(batch))])
    torch.testing.assert_close(together, alone, rtol=1e-10, atol=1e-10)
    again = model(*batch.inputs)
    assert torch.equal(together, again), "evaluation is not the same twice"


def gradient_reaches_every_weight(member: Member, folder: Any) -> None:
    # A ReLU may be off for all examples, which is no fault of the wiring.
    smooth = {} if member.family == "neuron" else {"activation": "tanh"}
    member = replace(member, options=member.options | smooth)
    model, batch = member.made().train(), member.batch(96)
    loss_of(member, model, batch).backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None, f"{name} has no gradient"
        reached = weight.grad.flatten(1).abs().amax(dim=1) if weight.dim() > 1 else weight.grad.abs()
        # A column with a single edge has no bins, so its row of bin weights stands still.
        expected = [len(edges) > 1 for edges in EDGES] if "readings" in name and weight.dim() == 3 else slice(None)
        assert (reached[expected] > 0).all(), f"{name}: no gradient in some rows"


def memorizes_eight_examples(member: Member, folder: Any) -> None:
    model, batch = member.made(dropout=False).float().train(), member.batch(8)
    inputs = tuple(tensor.float() if tensor.is_floating_point() else tensor for tensor in batch.inputs)
    numbers = member.schema.target.task == "regression"
    batch = Batch(inputs, batch.target.float() if numbers else batch.target, batch.rows)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(300):
        optimizer.zero_grad()
        loss_of(member, model, batch).backward()
        optimizer.step()
    with torch.no_grad():
        outputs = model.eval()(*inputs)
    if numbers:
        assert functional.mse_loss(outputs, batch.target) < 0.05
    else:
        guesses = (outputs[:, 0] > 0).long() if member.schema.target.task == "binary" else outputs.argmax(1)
        assert guesses.tolist() == batch.target.tolist()


def saves_and_loads_to_the_same_bits(member: Member, folder: Any) -> None:
    model, batch = member.made(stirred=True).eval(), member.batch(5)
    save_file(model.state_dict(), folder / "weights.safetensors")
    torch.manual_seed(99)
    schema = Schema.from_json(member.schema.to_json())
    again = CATALOGUE[member.family].from_schema(schema, **member.options).double().eval()
    again.load_state_dict(load_file(folder / "weights.safetensors"), strict=True)
    assert torch.equal(model(*batch.inputs), again(*batch.inputs))


def compiles_without_graph_breaks(member: Member, folder: Any) -> None:
    batch = member.batch(5)
    for training in (True, False):
        model = member.made(stirred=True, dropout=False).train(training)
        whole = torch.compile(model, backend="eager", fullgraph=True)
        torch.testing.assert_close(whole(*batch.inputs), model(*batch.inputs))
    torch.compiler.reset()


LAWS = [
    gradients_are_finite_differences,
    agrees_with_a_reference,
    uses_every_input,
    examples_are_independent,
    gradient_reaches_every_weight,
    memorizes_eight_examples,
    saves_and_loads_to_the_same_bits,
    compiles_without_graph_breaks,
]


@pytest.mark.parametrize("name", MEMBERS)
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_law(law: Callable[[Member, Any], None], name: str, tmp_path: Any) -> None:
    law(MEMBERS[name], tmp_path)


def test_every_family_stands_under_the_laws() -> None:
    assert {member.family for member in MEMBERS.values()} == set(CATALOGUE)


@pytest.mark.parametrize("name", [name for name, member in MEMBERS.items() if member.options.get("members", 1) > 1])
def test_each_member_is_judged_for_itself(name: str) -> None:
    member = MEMBERS[name]
    model, batch, judge = (
        member.made(stirred=True, dropout=False).train(),
        member.batch(10),
        Judge(member.schema.target.task),
    )
    outputs = model(*batch.inputs)
    each = [judge.loss(outputs[:, k], batch.target) for k in range(outputs.shape[1])]
    torch.testing.assert_close(loss_of(member, model, batch), torch.stack(each).mean())
    together = model.eval()(*batch.inputs)
    if member.schema.target.task == "multiclass":
        chances = np.mean(softmax(outputs.detach().numpy(), axis=2), axis=1)
        np.testing.assert_allclose(softmax(together.detach().numpy(), axis=1), chances, rtol=1e-9)
