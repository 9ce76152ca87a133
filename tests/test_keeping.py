"""What is kept stays within the budget, and is what it was, whatever happens to the memory later."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from deepglass.tracing.figures import figures_of
from deepglass.tracing.graph import Graph
from deepglass.tracing.keeping import SAMPLE, Keeper
from deepglass.tracing.record import record
from record_nets import noise, scalar, whole


def wide() -> nn.Module:
    """Activations of 1 MB each: 8 MB in all, forward and backward."""
    torch.manual_seed(0)
    return nn.Sequential(*[layer for _ in range(4) for layer in (nn.Linear(64, 64), nn.Tanh())])


def held(graph: Graph) -> int:
    """Bytes of all storages that the graph keeps alive, each once."""
    sizes = {}
    for value in graph.values:
        for kept in (value.kept, value.gradient):
            for tensor in (kept.tensor, kept.places) if kept is not None else ():
                if tensor is not None:
                    storage = tensor.untyped_storage()
                    sizes[storage.data_ptr()] = storage.nbytes()
    return sum(sizes.values())


@pytest.mark.parametrize("budget", [0, 1000, 100_000, 400_000, 1 << 20, 5 << 20, 1 << 30])
def test_the_memory_kept_is_within_the_budget(budget):
    graph = record(wide(), noise(4096, 64), loss=scalar, budget=budget)
    assert held(graph) <= graph.kept_bytes <= budget
    forms = {kept.form for value in graph.values for kept in (value.kept, value.gradient) if kept is not None}
    assert forms == {0: {"summary"}, 1000: {"summary", "whole"}, 1 << 30: {"whole"}}.get(budget, forms)
    assert graph.check().agrees


def test_small_ones_stay_whole_and_large_ones_become_samples_of_themselves():
    full, small = (record(wide(), noise(4096, 64), loss=scalar, budget=size) for size in (1 << 30, 1 << 20))
    for before, after in zip(full.values, small.values, strict=True):
        for kept, lessened in ((before.kept, after.kept), (before.gradient, after.gradient)):
            if kept is None or lessened is None:
                assert kept is lessened
                continue
            if before.bytes <= 1 << 16:
                assert lessened.form == "whole"
            if lessened.form == "sample":
                assert lessened.places is not None and len(lessened.places) == SAMPLE
                assert lessened.tensor is not None
                assert torch.equal(whole(kept).flatten()[lessened.places], lessened.tensor)
            assert lessened.summary == kept.summary


def test_a_sample_that_does_not_replay_is_found():
    graph = record(wide(), noise(4096, 64), budget=2 << 20)
    sampled = next(value for value in graph.values if value.kept is not None and value.kept.form == "sample")
    assert sampled.kept is not None and sampled.kept.tensor is not None
    sampled.kept.tensor[7] += 1
    check = graph.check()
    assert not check.agrees and check.where == sampled.name and check.largest_difference == pytest.approx(1)


def test_views_and_shared_memory_are_counted_once():
    keeper, base = Keeper(1 << 20), torch.zeros(1000)
    for place, view in enumerate((base, base[10:], base.view(10, 100))):
        keeper.keep(place, view)
    assert keeper.used == 4000


def test_what_will_be_overwritten_is_copied_first():
    keeper, base = Keeper(1 << 20), torch.arange(6.0)
    keeper.keep("whole", base)
    keeper.keep("view", base[2:4])
    keeper.before_write(base)
    base.zero_()
    assert torch.equal(whole(keeper.kept("whole")), torch.arange(6.0))
    assert torch.equal(whole(keeper.kept("view")), torch.tensor([2.0, 3.0]))


def test_what_was_overwritten_unseen_is_not_passed_off_as_what_was():
    keeper, base = Keeper(1 << 20), torch.arange(6.0)
    keeper.keep("whole", base)
    base.zero_()
    assert keeper.kept("whole") is None and keeper.spoiled == ["whole"]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(1, 60_000), st.booleans(), st.booleans()), max_size=12), st.integers(0, 300_000))
def test_any_order_of_keeping_and_overwriting_stays_within(sizes, budget):
    keeper, tensors = Keeper(budget), []
    for place, (size, copy, overwrite) in enumerate(sizes):
        tensors.append(torch.full((size,), float(place)))
        keeper.keep(place, tensors[-1], copy=copy)
        if overwrite:
            keeper.before_write(tensors[place // 2])
            tensors[place // 2].fill_(-1)
        assert 0 <= keeper.used <= budget
    for place, (size, _, _) in enumerate(sizes):
        kept = keeper.kept(place)
        if kept is not None and kept.form == "whole" and kept.tensor is not None:
            assert kept.tensor.shape == (size,) and bool((kept.tensor == place).all())
        assert kept is not None and kept.summary.mean == place


@pytest.mark.parametrize(
    "tensor",
    [
        torch.tensor([[1.5, -2.0, 0.0], [math.nan, math.inf, 4.0]]),
        torch.tensor([True, False, True]),
        torch.tensor([3, -4, 0, 0]),
        torch.tensor(2.5, dtype=torch.bfloat16),
        torch.tensor([3 + 4j, 0j]),
    ],
)
def test_figures_are_numpy_s(tensor: Tensor):
    wide = tensor.float() if tensor.dtype == torch.bfloat16 else tensor
    array = np.abs(wide.numpy()) if tensor.is_complex() else wide.numpy().astype(float)
    good, figures = array[np.isfinite(array)], figures_of(tensor)
    wanted = (good.mean(), good.std(), good.min(), good.max(), np.sqrt((good**2).sum()), (good == 0).mean())
    assert (figures.mean, figures.spread, figures.least, figures.largest, figures.norm, figures.zeros) == pytest.approx(
        wanted
    )
    assert figures.bad == array.size - good.size


def test_the_figures_of_nothing():
    assert math.isnan(figures_of(torch.ones(0, 3)).mean) and figures_of(torch.tensor([math.nan])).bad == 1
