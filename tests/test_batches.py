"""Every example once an epoch, in an order that the seed and the epoch decide, prepared as the schema says."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from deepglass.data.batches import Batches, Variation, in_order, present
from samples import pictures, points

CPU = torch.device("cpu")


def made(data, **options) -> Batches:
    return Batches(data, **{"batch_size": 10, "device": CPU, "seed": 3} | options)


def test_every_row_is_drawn_once_an_epoch_in_an_order_of_its_own():
    data = points(96)
    batches = made(data)
    first, second = ([row for batch in batches.epoch(n) for row in batch.rows.tolist()] for n in (0, 1))
    assert sorted(first) == sorted(second) == data.train.rows.tolist()
    assert first != second
    assert first == [row for batch in made(data).epoch(0) for row in batch.rows.tolist()]
    assert first != [row for batch in made(data, seed=4).epoch(0) for row in batch.rows.tolist()]


def test_inputs_and_targets_are_those_of_the_rows():
    data = points(96)
    for batch in made(data).epoch(2):
        assert torch.equal(batch.inputs[0], data.train.inputs[0][batch.rows])
        assert torch.equal(batch.target, data.train.target[batch.rows])


@pytest.mark.parametrize("variation", [Variation(), Variation(augment=("shift",)), Variation(mixup=0.4, cutmix=1.0)])
def test_an_epoch_taken_up_in_the_middle_goes_on_with_the_same_bits(variation):
    data = pictures(48)
    whole = list(made(data, variation=variation).epoch(5))
    later = list(made(data, variation=variation).epoch(5, start=2))
    assert len(later) == len(whole) - 2
    for expected, found in zip(whole[2:], later, strict=True):
        assert torch.equal(expected.inputs[0], found.inputs[0])
        assert torch.equal(expected.target, found.target)


@pytest.mark.parametrize(
    ("rows", "sizes"), [(41, [10, 10, 10, 11]), (42, [10, 10, 10, 10, 2]), (1, [1]), (40, [10] * 4)]
)
def test_a_last_batch_of_one_joins_the_one_before_it(rows, sizes):
    data = points(96)
    shorter = dataclasses.replace(data, train=data.train.select(torch.arange(rows)))
    assert [len(batch) for batch in made(shorter).epoch(0)] == sizes


@pytest.mark.parametrize("variation", [Variation(), Variation(augment=("cutout",))])
def test_pixels_are_normalized_whether_early_or_late(variation):
    data = pictures(48)
    batch = next(made(data, variation=variation).epoch(0))
    value = data.train.inputs[0][batch.rows].double() / 255
    expected = (value - 0.4) / 0.25
    untouched = batch.inputs[0].double().isclose(expected, atol=1e-5)
    assert untouched.all() if not variation.augment else untouched.double().mean() > 0.5
    assert torch.allclose(present((data.train.inputs[0][batch.rows],), data.schema)[0].double(), expected, atol=1e-5)


def test_mixed_targets_are_shares_that_sum_to_one():
    batch = next(made(pictures(48), variation=Variation(mixup=1.0)).epoch(0))
    assert batch.target.shape == (10, 2)
    assert torch.allclose(batch.target.sum(1), torch.ones(10))
    assert ((batch.target > 0) & (batch.target < 1)).any()


def test_in_order_neither_shuffles_nor_varies():
    data = points(96)
    seen = torch.cat([batch.inputs[0] for batch in in_order(data.test, data.schema, CPU, 5)])
    assert torch.equal(seen, data.test.inputs[0])


def test_drawing_batches_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    list(made(pictures(48), variation=Variation(augment=("shift",), mixup=0.2)).epoch(0))
    assert torch.equal(before, torch.get_rng_state())
