"""Places in the layers view: nothing on top of anything else, nothing off the page, every line the right way."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from deepglass.drawing.layers import layers_scene
from deepglass.drawing.placing import Placed, placed
from deepglass.drawing.scene import Box, Dot, Label
from deepglass.drawing.walking import flow_of
from deepglass.tracing.record import record
from networks import Language
from portraits_nets import NETS, flat, recorded

WIDTHS = (640, 1200)
Box4 = tuple[float, float, float, float]


def bodies(places: Placed) -> list[Box4]:
    """Left, top, right and bottom of what each layer takes, with its caption apart."""
    found = []
    for spot in places.spots:
        found.append((spot.left, spot.middle - spot.body.ascent, spot.exit, spot.middle + spot.body.descent))
        if spot.caption.width:
            half = spot.caption.width / 2
            top = spot.caption_top - 10
            found.append((spot.center - half, top, spot.center + half, top + spot.caption.height))
    return found


def overlap(one: Box4, other: Box4) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", NETS)
def test_nothing_lies_on_anything_else(name: str, width: int) -> None:
    boxes = bodies(placed(flow_of(recorded(name)), width))
    crossing = [(one, other) for place, one in enumerate(boxes) for other in boxes[:place] if overlap(one, other)]
    assert crossing == []


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", NETS)
def test_the_picture_stays_on_its_page(name: str, width: int) -> None:
    scene = layers_scene(recorded(name), width=width)
    assert scene.width <= width
    for shape in flat(scene.shapes):
        for x, y in corners(shape):
            assert 0 <= x <= scene.width, shape
            assert 0 <= y <= scene.height, shape


def corners(shape: Any) -> list[tuple[float, float]]:
    if isinstance(shape, Box):
        return [(shape.x, shape.y), (shape.x + shape.width, shape.y + shape.height)]
    if isinstance(shape, Dot):
        return [(shape.x - shape.radius, shape.y - shape.radius), (shape.x + shape.radius, shape.y + shape.radius)]
    return [(shape.x, shape.y)] if isinstance(shape, Label) else list(shape.points)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", NETS)
def test_links_lead_to_the_right_or_to_a_lower_row(name: str, width: int) -> None:
    places = placed(flow_of(recorded(name)), width)
    for one, other in places.flow.links:
        start, end = places.spots[one], places.spots[other]
        assert (start.row, start.exit) < (end.row, end.left)
        assert start.column < end.column


def test_each_residual_join_has_an_arc_over_what_it_skips() -> None:
    places = placed(flow_of(recorded("block")), 1200)
    joins = [place for place, layer in enumerate(places.flow.layers) if layer.role == "join"]
    assert len(joins) == 2
    assert sorted(other for _, other in places.arcs) == joins
    for (one, other), height in places.arcs.items():
        spanned = places.spots[one + 1 : other]
        assert all(height < spot.middle - spot.body.ascent for spot in spanned)


def test_a_skip_into_a_frame_starts_inside_it() -> None:
    places = placed(flow_of(recorded("language")), 1200)
    (room,) = places.rooms
    inside = set(room.frame.layers)
    entering = [link for link in places.arcs if link[0] not in inside and link[1] in inside]
    assert entering
    for link in entering:
        assert places.carriers[link] in inside
        assert room.left < places.spots[places.carriers[link]].left
        assert room.top < places.arcs[link] < room.bottom


def test_larger_sides_make_larger_bodies() -> None:
    places = placed(flow_of(recorded("autoencoder")), 1200)
    heights = [spot.body.solids[spot.body.main].height for spot in places.spots[:5]]
    assert heights[:4] == sorted(heights[:4], reverse=True)
    assert len(set(heights[:4])) == 4
    widths = [spot.body.solids[spot.body.main].width for spot in places.spots[1:4]]
    assert widths == sorted(widths)


def test_five_thousand_operations_become_one_frame() -> None:
    graph = record(
        Language(words=20, width=8, heads=2, depth=240, length=4).eval(), torch.zeros(1, 4, dtype=torch.int64)
    )
    assert len(graph.operations) > 4500
    scene = layers_scene(graph)
    assert scene.width <= 1000
    assert "Block, 240 times in a row:" in scene.lines
