"""Splits: whole, disjoint, seeded, and honest by class, group and time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import GroupShuffleSplit, train_test_split

from deepglass.data.split import Splits, duplicates_across, hash_rows, split_rows
from deepglass.errors import SplitError


def together(made: Splits) -> list[int]:
    return sorted(np.concatenate((made.train, made.valid, made.test)).tolist())


def assert_sound(made: Splits, count: int) -> None:
    assert together(made) == list(range(count))
    for part in (made.train, made.valid, made.test):
        assert part.dtype == np.int64
        assert np.all(np.diff(part) > 0)
    assert len(made.train)


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(3, 300),
    valid=st.floats(0.01, 0.45),
    test=st.floats(0.01, 0.45),
    seed=st.integers(0, 9),
)
def test_every_row_is_in_one_part(count, valid, test, seed):
    made = split_rows(count, valid=valid, test=test, seed=seed)
    assert_sound(made, count)
    assert len(made.valid)
    assert len(made.test)
    again = split_rows(count, valid=valid, test=test, seed=seed)
    assert np.array_equal(made.test, again.test)


@settings(max_examples=60, deadline=None)
@given(labels=st.lists(st.integers(0, 4), min_size=30, max_size=200), seed=st.integers(0, 9))
def test_every_class_keeps_its_share(labels, seed):
    labels = np.array(labels)
    made = split_rows(len(labels), labels=labels, seed=seed)
    assert_sound(made, len(labels))
    assert len(made.test) == round(0.2 * len(labels))
    for label, count in zip(*np.unique(labels, return_counts=True), strict=True):
        tested = (labels[made.test] == label).sum()
        assert (labels[made.train] == label).any()
        assert abs(tested - 0.2 * count) <= 2


def test_class_counts_equal_scikit_learns():
    labels = np.repeat([0, 1, 2], [500, 300, 200])
    made = split_rows(1000, labels=labels, valid=0, test=0.2, seed=3)
    _, theirs = train_test_split(np.arange(1000), test_size=0.2, stratify=labels, random_state=0)
    assert np.bincount(labels[made.test]).tolist() == np.bincount(labels[theirs]).tolist()


def test_a_class_with_one_example_trains():
    labels = np.array(["a"] * 20 + ["b"] * 19 + ["rare"])
    for seed in range(20):
        assert 39 in split_rows(40, labels=labels, seed=seed).train


def test_seeds_differ():
    assert not np.array_equal(split_rows(100, seed=1).test, split_rows(100, seed=2).test)


@settings(max_examples=60, deadline=None)
@given(groups=st.lists(st.integers(0, 40), min_size=60, max_size=200), seed=st.integers(0, 9))
def test_no_group_is_in_two_parts(groups, seed):
    groups = np.array(groups)
    if len(np.unique(groups)) < 3:
        return
    made = split_rows(len(groups), groups=groups, seed=seed)
    assert_sound(made, len(groups))
    sets = [set(groups[part].tolist()) for part in (made.train, made.valid, made.test)]
    assert not (sets[0] & sets[1] or sets[0] & sets[2] or sets[1] & sets[2])
    assert len(made.valid)
    assert len(made.test)


def test_even_groups_give_shares_as_scikit_learns():
    groups = np.repeat(np.arange(100), 5)
    made = split_rows(500, groups=groups, valid=0, test=0.2, seed=0)
    _, theirs = next(GroupShuffleSplit(1, test_size=0.2, random_state=0).split(groups, groups=groups))
    assert len(made.test) == len(theirs) == 100


def test_a_giant_group_trains():
    groups = np.array([0] * 900 + list(range(1, 101)))
    for seed in range(10):
        made = split_rows(1000, groups=groups, seed=seed)
        assert 0 in groups[made.train]


def test_the_newest_rows_are_tested():
    times = np.random.default_rng(0).permutation(200)
    made = split_rows(200, times=times, valid=0.1, test=0.2)
    assert times[made.train].max() < times[made.valid].min()
    assert times[made.valid].max() < times[made.test].min()
    assert (len(made.valid), len(made.test)) == (20, 40)


def test_rows_of_one_day_stay_together():
    days = np.repeat(np.arange("2020-01-01", "2020-02-10", dtype="datetime64[D]"), 7)
    made = split_rows(len(days), times=days)
    assert not set(days[made.train].tolist()) & set(days[made.valid].tolist())
    assert not set(days[made.valid].tolist()) & set(days[made.test].tolist())


def test_all_rows_of_one_time_are_split_all_the_same():
    made = split_rows(50, times=np.zeros(50))
    assert_sound(made, 50)
    assert len(made.test) == 10


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"count": 2}, "too few for 3 parts"),
        ({"count": 0}, "too few"),
        ({"count": 9, "valid": 0.5, "test": 0.5}, "expected shares"),
        ({"count": 9, "valid": -0.1}, "expected shares"),
        ({"count": 9, "how": "sideways"}, "no such way"),
        ({"count": 9, "how": "group"}, "no column to split by"),
        ({"count": 9, "how": "time"}, "no column to split by"),
        ({"count": 9, "how": "stratified"}, "no column to split by"),
        ({"count": 3, "labels": [0, 1, 2]}, "too few"),
        ({"count": 9, "labels": [0, 1]}, "one a row"),
        ({"count": 9, "groups": [1] * 9}, "1 group"),
        ({"count": 3, "times": [1.0, np.nan, 2.0]}, "row 2: found no time"),
    ],
)
def test_what_cannot_be_split_says_why(arguments, words):
    with pytest.raises(SplitError, match=words) as caught:
        split_rows(**arguments)
    assert caught.value.next


def test_a_million_rows():
    labels = np.random.default_rng(0).integers(0, 1000, 1_000_000)
    assert_sound(split_rows(len(labels), labels=labels), len(labels))


def test_duplicates_are_those_that_a_set_finds():
    generator = np.random.default_rng(0)
    parts = [generator.integers(0, 6, (size, 3)) for size in (40, 20, 30)]
    seen: set[tuple[int, ...]] = set()
    expected = 0
    for part in parts:
        rows = [tuple(row) for row in part.tolist()]
        expected += sum(row in seen for row in rows)
        seen.update(rows)
    assert duplicates_across(*parts) == expected > 0


def test_pictures_and_floats_are_hashed_by_value():
    pictures = np.random.default_rng(0).integers(0, 256, (50, 3, 5, 5)).astype(np.uint8)
    assert len(np.unique(hash_rows(pictures))) == 50
    assert duplicates_across(pictures, pictures[10:13], pictures[:0]) == 3
    assert duplicates_across(np.array([[0.0, 1.0]]), np.array([[-0.0, 1.0]])) == 1
    assert duplicates_across(np.array([[1.0, 2.0]]), np.array([[2.0, 1.0]])) == 0
