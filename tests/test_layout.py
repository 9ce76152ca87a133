"""The layout of graphs: links lead down, boxes keep apart, few links cross, straight things are straight."""

from __future__ import annotations

import functools
import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepglass.drawing.layout import Layout, arrange
from deepglass.drawing.ranking import Link, rank

Graph = tuple[list[tuple[float, float]], list[Link]]


@st.composite
def graphs(draw: st.DrawFn, cyclic: bool = False) -> Graph:
    count = draw(st.integers(1, 14))
    sizes = draw(st.lists(st.tuples(st.floats(4, 200), st.floats(4, 90)), min_size=count, max_size=count))
    ends = draw(st.lists(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)), max_size=24))
    share = st.floats(-0.4, 0.4)
    links = [
        Link(a, b, draw(share) * sizes[a][0], draw(share) * sizes[b][0])
        for a, b in (pair if cyclic else sorted(pair) for pair in ends)
        if cyclic or a != b
    ]
    return sizes, links


def boxes(sizes: list[tuple[float, float]], layout: Layout) -> list[tuple[float, float, float, float]]:
    return [(x - w / 2, y - h / 2, x + w / 2, y + h / 2) for (x, y), (w, h) in zip(layout.places, sizes, strict=True)]


def crossed(layers: tuple[tuple[int, ...], ...], pieces: list[tuple[int, int]]) -> int:
    """Crossings counted the slow way: every pair of pieces between two layers."""
    row = {node: number for number, layer in enumerate(layers) for node in layer}
    place = {node: at for layer in layers for at, node in enumerate(layer)}
    pairs = itertools.combinations(pieces, 2)
    return sum(
        row[a] == row[c] and (place[a] - place[c]) * (place[b] - place[d]) < 0 for (a, b), (c, d) in pairs
    )  # fmt: skip


@given(graphs())
@settings(max_examples=150, deadline=None)
def test_every_link_leads_down(graph: Graph) -> None:
    sizes, links = graph
    layout = arrange(sizes, links)
    for link, route in zip(links, layout.routes, strict=True):
        assert layout.places[link.source][1] < layout.places[link.target][1]
        heights = [y for _, y in route]
        assert heights == sorted(heights)


@given(graphs(cyclic=True))
@settings(max_examples=150, deadline=None)
def test_boxes_do_not_overlap_and_lie_within_the_picture(graph: Graph) -> None:
    sizes, links = graph
    layout = arrange(sizes, links, gap=10)
    found = boxes(sizes, layout)
    for one, other in itertools.combinations(found, 2):
        assert one[2] <= other[0] - 9.9 or other[2] <= one[0] - 9.9 or one[3] < other[1] or other[3] < one[1]
    assert all(
        x0 >= -0.02 and y0 >= 0 and x1 <= layout.width + 0.02 and y1 <= layout.height + 0.02 for x0, y0, x1, y1 in found
    )


@given(graphs(cyclic=True))
@settings(max_examples=100, deadline=None)
def test_links_touch_their_boxes_where_they_were_told_to(graph: Graph) -> None:
    sizes, links = graph
    layout = arrange(sizes, links)
    found = boxes(sizes, layout)
    # Places are rounded to hundredths of a pixel.
    near = functools.partial(pytest.approx, abs=0.02)
    for link, route in zip(links, layout.routes, strict=True):
        assert len(route) % 3 == 1
        if link.source == link.target:
            assert route[0][0] == route[-1][0] == near(found[link.source][2])
            continue
        assert route[0][0] == near(layout.places[link.source][0] + link.leave)
        assert route[-1][0] == near(layout.places[link.target][0] + link.arrive)
        down = layout.places[link.source][1] < layout.places[link.target][1]
        assert route[0][1] == near(found[link.source][3 if down else 1])
        assert route[-1][1] == near(found[link.target][1 if down else 3])


@given(graphs())
@settings(max_examples=100, deadline=None)
def test_no_link_runs_through_a_box(graph: Graph) -> None:
    """A curve lies in the box of its points; a piece as high as a layer must be beside that layer's boxes."""
    sizes, links = graph
    layout = arrange(sizes, links)
    found = boxes(sizes, layout)
    for link, route in zip(links, layout.routes, strict=True):
        for start in range(0, len(route) - 1, 3):
            (x0, y0), (x1, y1) = route[start], route[start + 3]
            for node, (left, top, right, bottom) in enumerate(found):
                if node in (link.source, link.target) or y1 <= top + 0.01 or y0 >= bottom - 0.01:
                    continue
                assert min(x0, x1) > right or max(x0, x1) < left


@given(graphs())
@settings(max_examples=60, deadline=None)
def test_no_more_links_cross_than_in_the_order_given(graph: Graph) -> None:
    sizes, links = graph
    ranking = rank([width for width, _ in sizes], [Link(one.source, one.target) for one in links])
    pieces = [(piece.upper, piece.lower) for piece in ranking.pieces]
    naive = tuple(tuple(sorted(layer)) for layer in ranking.layers)
    assert crossed(ranking.layers, pieces) <= crossed(naive, pieces)


@pytest.mark.parametrize("seed", range(8))
def test_a_tree_is_drawn_without_a_crossing(seed: int) -> None:
    draw = random.Random(seed)
    links = [Link(draw.randrange(node), node) for node in range(1, 40)]
    draw.shuffle(links)
    ranking = rank([30.0] * 40, links)
    assert crossed(ranking.layers, [(piece.upper, piece.lower) for piece in ranking.pieces]) == 0


@pytest.mark.parametrize("seed", range(4))
def test_fewer_links_cross_than_by_chance(seed: int) -> None:
    draw = random.Random(seed)
    links = [Link(a, draw.randrange(20, 40)) for a in range(20) for _ in range(2)]
    ranking = rank([30.0] * 40, links)
    pieces = [(piece.upper, piece.lower) for piece in ranking.pieces]
    naive = tuple(tuple(sorted(layer)) for layer in ranking.layers)
    assert crossed(ranking.layers, pieces) < 0.6 * crossed(naive, pieces)


def test_a_chain_is_straight_and_what_skips_it_leads_around() -> None:
    sizes = [(60.0, 30.0), (90.0, 30.0), (40.0, 30.0), (120.0, 30.0), (60.0, 30.0)]
    links = [*(Link(node, node + 1) for node in range(4)), Link(0, 4)]
    layout = arrange(sizes, links)
    assert len({x for x, _ in layout.places}) == 1
    widest = max(right for _, _, right, _ in boxes(sizes, layout))
    assert max(x for x, _ in layout.routes[-1]) > widest or min(x for x, _ in layout.routes[-1]) < 0.01 + widest - 120.0


def test_a_cycle_is_one_link_that_leads_up() -> None:
    links = [Link(0, 1), Link(1, 2), Link(2, 0)]
    layout = arrange([(30.0, 20.0)] * 3, links)
    up = [route[0][1] > route[-1][1] for route in layout.routes]
    assert up == [False, False, True]


def test_the_first_and_the_last_stand_alone_in_their_layers() -> None:
    links = [Link(0, 2), Link(1, 3), Link(2, 3), Link(3, 4)]
    ranking = rank([9.0] * 6, links, first=frozenset({1}), last=frozenset({5}))
    assert (ranking.layers[0], ranking.layers[-1]) == ((1,), (5,))


def test_a_source_stands_right_above_what_it_feeds() -> None:
    layers = rank([9.0] * 5, [Link(0, 1), Link(1, 2), Link(2, 3), Link(4, 3)]).layers
    assert 4 in layers[2]


def test_the_same_graph_gives_the_same_places() -> None:
    draw = random.Random(3)
    links = [Link(a, b) for a, b in (sorted(draw.sample(range(60), 2)) for _ in range(120))]
    assert arrange([(40.0, 20.0)] * 60, links) == arrange([(40.0, 20.0)] * 60, links)


def test_five_thousand_nodes_are_placed() -> None:
    links = [Link(node, node + 1) for node in range(4999)] + [Link(node, node + 5) for node in range(0, 4990, 3)]
    layout = arrange([(60.0, 20.0)] * 5000, links)
    assert len(layout.places) == 5000


def test_nothing_is_placed_as_nothing() -> None:
    assert arrange([], []) == Layout((), (), 0.0, 0.0)
