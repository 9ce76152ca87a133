"""What is odd, and recorded all the same: whatever a module may be, return, or be wrapped in."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from deepglass.tracing.record import record
from record_nets import noise, scalar, whole

X = noise(3, 4)


@dataclass
class Outcome:
    scores: Tensor
    count: int = 3


class Returning(nn.Module):
    """A net that returns whatever it is told to make of its result."""

    def __init__(self, make: Any) -> None:
        super().__init__()
        self.body, self.make = nn.Linear(4, 4), make

    def forward(self, x: Tensor) -> Any:
        return self.make(self.body(x))


def grad_of(module: nn.Module) -> Tensor:
    """What a plain backward pass left at the first layer's weight."""
    found = dict(module.named_parameters())["0.weight"].grad
    assert found is not None
    return found


def compiled(module: nn.Module) -> Any:
    return torch.compile(module, backend="eager")


def squares(y: Tensor) -> Iterator[Tensor]:
    yield y * y


@pytest.mark.parametrize(
    ("make", "outputs"),
    [
        (lambda y: {"scores": y, "name": "net", "more": [y + 1, None]}, 2),
        (lambda y: Outcome(y * 2), 1),
        (lambda y: (y, (y.sum(), 3), "words"), 2),
        (lambda y: float(y.detach().sum()), 0),
        (lambda y: None, 0),
        (squares, 0),
    ],
)
def test_outputs_of_any_form(make, outputs):
    graph = record(Returning(make), X)
    assert not graph.failure and len(graph.outputs) == outputs and graph.check().agrees
    assert graph.operations[0].name == "linear"


def test_a_loss_among_the_outputs_is_differentiated():
    for make in (lambda y: {"loss": y.mean(), "scores": y}, lambda y: y.mean()):
        module = Returning(make)
        graph = record(module, X)
        assert graph.loss is not None
        assert torch.allclose(whole(graph.value("body.bias").gradient), torch.full((4,), 0.25))


def test_no_parameters_integers_lists_and_names():
    graph = record(nn.Identity(), X)
    assert not graph.operations and graph.outputs == graph.inputs
    graph = record(lambda codes: functional.one_hot(codes, 5).sum(), torch.tensor([1, 2]), loss=lambda y: y.float())
    assert graph.loss is None and "no gradients" in graph.notes[0] and graph.check().agrees

    def listed(parts: list[Tensor], extra: dict[str, Tensor], budget: int = 1) -> list[Tensor]:
        return [part * extra["scale"] * budget for part in parts]

    graph = record(listed, [X, X + 1], extra={"scale": X + 2}, options={"budget": 3})
    assert [graph.values[value].name for value in graph.inputs] == ["parts[0]", "parts[1]", "extra.scale"]
    assert len(graph.outputs) == 2 and graph.operations[1].settings[0][1] == 3


def test_control_flow_follows_the_data():
    def branching(x: Tensor) -> Tensor:
        while x.sum() < 10:
            x = x + 1
        return x

    graph = record(branching, torch.zeros(2))
    assert [o.name for o in graph.operations if o.name == "add"] == ["add"] * 5 and graph.check().agrees


def test_numbers_that_go_through_numpy_are_constants():
    graph = record(lambda x: torch.from_numpy(x.numpy() + 1) * 2, X)
    assert any("numpy" in note for note in graph.notes) and graph.check().agrees
    (product,) = graph.operations
    assert graph.values[product.inputs[0]].role == "constant"


@pytest.mark.parametrize("outer", [False, True])
def test_a_scripted_module_is_one_operation(outer):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scripted = torch.jit.script(nn.Sequential(nn.Linear(4, 4), nn.Tanh()))
    module = scripted if outer else nn.Sequential(nn.Linear(4, 4), scripted)
    graph = record(module, X, loss=scalar)
    opaque = [o for o in graph.operations if o.kind == "opaque"]
    assert len(opaque) == 1 and any("could not be seen" in note for note in graph.notes)
    assert graph.check().agrees and all(graph.values[weight].gradient for weight in graph.weights)
    assert graph.parameters == sum(weight.numel() for weight in module.parameters())


def test_a_scripted_function_keeps_the_edge():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")

        @torch.jit.script
        def doubled(x):
            return x * 2 + 1

    module = nn.Linear(4, 4)
    graph = record(lambda x: doubled(module(x)).sum(), X)
    (opaque,) = [o for o in graph.operations if o.kind != "reduction" and o.name != "linear"]
    assert [graph.values[value].name for value in opaque.inputs] == ["linear_1"]
    assert torch.equal(whole(graph.value("linear_1").gradient), torch.full((3, 4), 2.0))


def test_a_compiled_module_is_recorded_as_it_was_written():
    module = nn.Sequential(nn.Linear(4, 4), nn.Tanh())
    graph = record(compiled(module), X, loss=scalar)
    assert [o.name for o in graph.operations][:2] == ["linear", "tanh"] and "compiled" in graph.notes[0]
    part = nn.Sequential(nn.Linear(4, 4), compiled(nn.Tanh()))
    assert [o.name for o in record(part, X).operations] == ["linear", "tanh"]


def test_a_quantized_module():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Linear(4, 4), nn.ReLU()), {nn.Linear})
    graph = record(module, X)
    assert [o.name for o in graph.operations] == ["linear_dynamic", "relu"] and graph.check().agrees


def test_wrappers_are_taken_off():
    graph = record(nn.DataParallel(nn.Linear(4, 2)), X)
    assert graph.title == "Linear" and "DataParallel" in graph.notes[0]


def test_hooks_of_the_user_run_and_stay():
    module, called = nn.Sequential(nn.Linear(4, 4), nn.ReLU()), []
    module[0].register_forward_hook(lambda *_: called.append("forward"))
    module[0].register_full_backward_hook(lambda *_: called.append("backward"))
    module[1].register_forward_pre_hook(lambda _, args: (args[0] * 2,))
    graph = record(module, X.clone().requires_grad_(), loss=scalar)
    assert called == ["forward", "backward"] and not graph.failure
    plain = scalar(module(X.clone().requires_grad_()))
    plain.backward()
    assert torch.equal(whole(graph.value("0.weight").gradient), grad_of(module))


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointed_activations(reentrant):
    module = nn.Sequential(nn.Linear(4, 4), nn.Tanh())
    x = X.clone().requires_grad_()
    graph = record(lambda x: checkpoint(module, x, use_reentrant=reentrant).sum(), x)
    assert not graph.failure
    checkpoint(module, X.clone().requires_grad_(), use_reentrant=reentrant).sum().backward()
    assert torch.equal(whole(graph.value("module.0.weight").gradient), grad_of(module))


def test_shapes_alone_on_the_meta_device():
    graph = record(nn.Linear(4, 2, device="meta"), X.to("meta"))
    assert graph.values[graph.outputs[0]].shape == (3, 2) and graph.kept_bytes == 0


def test_mixed_precision_is_replayed():
    with torch.autocast("cpu", torch.bfloat16):
        graph = record(nn.Sequential(nn.Linear(4, 4), nn.Tanh()), X, loss=lambda y: y.float().sum())
    assert graph.value("linear_1").dtype == "bfloat16" and graph.check().agrees


def test_transformed_functions_and_sparse_tensors_do_not_stop_it():
    module = nn.Linear(4, 4)
    graph = record(lambda x: torch.vmap(module)(x).sum() + module(x).sum(), X)
    assert not graph.failure and graph.check().agrees
    graph = record(lambda x: torch.sparse.mm(x.to_sparse(), x.T).sum(), X)
    assert not graph.failure and graph.check().agrees


def test_a_recorder_within_a_recorder():
    module = nn.Linear(4, 4)
    graph = record(lambda x: x * record(module, x).parameters, X)
    assert not graph.failure and graph.operations[-1].name == "mul"


def test_complex_numbers_and_several_types():
    graph = record(lambda x: torch.fft.rfft(x).abs().half().double().sum(), X.clone().requires_grad_())
    assert graph.check().agrees and graph.value("fft_rfft_1").dtype == "complex64"
