"""One law suite for every family: a new family is covered by its rows in MEMBERS."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from scipy.special import softmax
from torch import Tensor
from torch.nn import functional

from deepglass.data.schema import Batch, Schema
from deepglass.models import CATALOGUE
from members import EDGES, MEMBERS, Judge, Member, loss_of
from references import REFERENCES


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
    with torch.no_grad():  # a branch whose last weight begins at zero is opened by the first step, and so is here
        for weight in model.parameters():
            weight += 0.0 if weight.any() else 0.1 * torch.randn_like(weight)
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
