"""Repetition found in records: what folds, what does not, and where the left-out operations went."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from deepglass.drawing.folding import Piece, fold, operations_of, stand_ins
from deepglass.tracing.graph import Graph
from deepglass.tracing.record import record
from networks import Language, PreActivation
from portraits_nets import NETS


def counts(graph: Graph, **settings: bool | int) -> list[tuple[str, int, int]]:
    return [(graph.owners[one.parent].path, one.count, len(one.repeats[0])) for one in fold(graph, **settings)]  # pyright: ignore[reportArgumentType]


def dense(*widths: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for one, other in itertools.pairwise(widths):
        layers += [nn.Linear(one, other), nn.ReLU()]
    return nn.Sequential(*layers)


class Cell(nn.Module):
    """One cell called again and again: a loop that is unrolled."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(5):
            x = torch.tanh(self.cell(x))
        return x


class Experts(nn.Module):
    """Alike modules side by side, none of which reads another."""

    def __init__(self) -> None:
        super().__init__()
        self.experts = nn.ModuleList(dense(4, 6, 4) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        outputs = [expert(x) for expert in self.experts]
        return outputs[0] + outputs[1] + outputs[2]


def test_blocks_of_a_transformer_fold_into_one() -> None:
    graph = record(Language(depth=6).eval(), torch.zeros(2, 32, dtype=torch.int64))
    assert counts(graph)[0] == ("", 6, 1)
    outer = fold(graph)[0]
    assert outer.chained
    assert not outer.shared
    assert [graph.owners[repeat[0].id].path for repeat in outer.repeats] == [f"blocks.{place}" for place in range(6)]


def test_layers_that_alternate_fold_by_pairs() -> None:
    graph = record(dense(8, 8, 8, 8, 3), torch.zeros(2, 8))
    assert counts(graph) == [("", 3, 2)]
    assert counts(graph, shapes=False) == [("", 4, 2)]


def test_shapes_and_strides_keep_parts_apart() -> None:
    assert counts(record(dense(8, 7, 6, 5), torch.zeros(2, 8))) == []
    pair = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=2, dilation=2))
    assert counts(record(pair, torch.zeros(1, 4, 8, 8))) == []

    def stretched(x: Tensor, one: Tensor, other: Tensor) -> Tensor:
        return (x @ one) @ other

    assert counts(record(stretched, torch.zeros(2, 3), torch.zeros(3, 4), torch.zeros(4, 4))) == []
    same = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1))
    assert counts(record(same, torch.zeros(1, 4, 8, 8))) == [("", 2, 1)]


def test_rates_of_dropout_do_not_keep_parts_apart() -> None:
    net = nn.Sequential(*(nn.Sequential(nn.Linear(4, 4), nn.Dropout(rate / 10)) for rate in (1, 2, 3)))
    assert counts(record(net, torch.zeros(2, 4)))[0] == ("", 3, 1)


def test_a_cell_called_again_is_shared() -> None:
    graph = record(Cell(), torch.zeros(2, 4))
    (found,) = fold(graph)
    assert (found.count, found.shared, found.chained) == (5, True, True)


def test_what_stands_side_by_side_is_no_chain() -> None:
    graph = record(Experts(), torch.zeros(2, 4))
    experts = fold(graph)[0]
    assert (experts.count, experts.chained, experts.shared) == (3, False, False)


def test_operations_of_a_bare_function_fold() -> None:
    def powers(x: Tensor, w: Tensor) -> Tensor:
        for _ in range(7):
            x = torch.tanh(x @ w)
        return x

    graph = record(powers, torch.zeros(2, 3), torch.zeros(3, 3))
    (found,) = fold(graph)
    assert (found.count, len(found.repeats[0])) == (7, 2)
    assert all(piece.what == "operation" for piece in found.repeats[0])


def test_least_asks_for_more() -> None:
    graph = record(dense(8, 8, 8, 8), torch.zeros(2, 8))
    assert [fold(graph, least=least) != () for least in (2, 3, 4)] == [True, True, False]


def test_folds_inside_a_shown_part_are_found_and_stand_ins_lead_there() -> None:
    block = [PreActivation(4, 4) for _ in range(3)]
    net = nn.Sequential(nn.Sequential(*block), nn.Sequential(*(PreActivation(4, 4) for _ in range(3)))).eval()
    graph = record(net, torch.zeros(1, 4, 8, 8))
    folds = fold(graph)
    assert counts(graph)[:2] == [("", 2, 1), ("0", 3, 1)]
    leads = stand_ins(graph, folds)
    shown = [operation.id for operation in graph.operations if operation.id not in leads]
    # Of each norm, relu and convolution in a row, the second is one with the first.
    assert len(shown) < len(operations_of(graph, folds[1].repeats[0]))
    assert set(leads.values()) <= set(shown)


@pytest.mark.parametrize("name", NETS)
def test_parts_that_fold_are_alike_and_apart(name: str) -> None:
    net, inputs = NETS[name]
    graph = record(net.eval(), *inputs)
    taken: set[Piece] = set()
    for one in fold(graph):
        names = {
            tuple((graph.operations[at].name, len(graph.operations[at].inputs)) for at in operations_of(graph, repeat))
            for repeat in one.repeats
        }
        assert len(names) == 1
        pieces = [piece for repeat in one.repeats for piece in repeat]
        assert len(pieces) == len(set(pieces))
        assert not taken & set(pieces)
        taken |= set(pieces)
    for left_out, shown in stand_ins(graph, fold(graph)).items():
        assert graph.operations[left_out].name == graph.operations[shown].name
        shapes = [graph.values[graph.operations[at].outputs[0]].shape for at in (left_out, shown)]
        assert shapes[0] == shapes[1]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=12))
def test_no_repetition_of_one_letter_is_missed(letters: list[str]) -> None:
    made = {"a": nn.ReLU, "b": nn.Tanh, "c": nn.Sigmoid}
    graph = record(nn.Sequential(*(made[letter]() for letter in letters)), torch.zeros(2, 3))
    folds = fold(graph)
    hidden = {piece for one in folds for repeat in one.repeats[1:] for piece in repeat}
    word = [graph.owners[child].type for child in graph.owners[0].children if Piece("owner", child) not in hidden]
    # What is left has no two like neighbors, but where a longer body took one of them.
    bodies = {piece for one in folds if len(one.repeats[0]) > 1 for repeat in one.repeats for piece in repeat}
    if not bodies:
        assert all(one != other for one, other in itertools.pairwise(word))
    assert len(word) + len(hidden) == len(letters)
