"""Columns set apart from one another, and broken into rows that fit a page."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from deepglass.drawing.captions import Caption, captions_of
from deepglass.drawing.flow import Flow, Frame
from deepglass.drawing.lanes import Lanes, lanes_of
from deepglass.drawing.solids import Body, body_of, scale_of

MARGIN, STUB = 14.0, 24.0
GAP, CAPTION_GAP, FRAME_GAP = 25.0, 11.0, 20.0
LINE_CUT, FRAME_CUT, ROW_COST, SLACK_COST = 40.0, 60.0, 25.0, 60.0


@dataclass(frozen=True)
class Columns:
    """The columns of a flow: their middle and ends, were the page wide enough for all; the row each is in.

    layers   those in each column;  span   first and last column of each frame, by its id
    """

    flow: Flow
    lanes: Lanes
    bodies: tuple[Body, ...]
    captions: tuple[Caption, ...]
    layers: tuple[tuple[int, ...], ...]
    span: dict[str, tuple[int, int]]
    center: tuple[float, ...]
    left: tuple[float, ...]
    right: tuple[float, ...]
    row: tuple[int, ...]

    def half(self, layer: int) -> float:
        """Half the width of a layer, with what clings to it and its depth."""
        return half_width(self.bodies[layer])

    def row_of(self, layer: int) -> int:
        return self.row[self.lanes.column[layer]]

    def flows_on(self, link: tuple[int, int]) -> bool:
        """Whether a link goes straight on from the end of a row's trunk to the start of the next."""
        one, other = link
        start, end = self.lanes.column[one], self.lanes.column[other]
        if self.lanes.lane[one] or self.lanes.lane[other] or self.row[end] != self.row[start] + 1:
            return False
        return not any(not self.lanes.lane[at] for column in self.layers[start + 1 : end] for at in column)

    def carrier(self, link: tuple[int, int]) -> int | None:
        """The layer by whose own entry a link may leave: what goes into it is the same value.

        So a skip that spans a frame's layers starts in the frame, as it does each time the frame repeats; and one
        over the first layers of a row starts in that row.
        """
        one, other = link
        around = [frame for frame in self.flow.frames if other in frame.layers and one not in frame.layers]
        found = None
        for start, beside in self.flow.links:
            if start != one or beside == other or self.lanes.lane[beside] != self.lanes.lane[one]:
                continue
            same_lane = self.lanes.lane[other] == self.lanes.lane[one]
            if self.lanes.column[beside] > self.lanes.column[other] - same_lane:
                continue
            framed = self.row_of(one) == self.row_of(beside) and any(beside in frame.layers for frame in around)
            turned = self.flows_on((one, beside)) and self.row_of(beside) == self.row_of(other)
            if framed or turned:
                found = beside
        return found


def half_width(body: Body) -> float:
    return (body.width + body.overhang) / 2


def columns_of(flow: Flow, width: float) -> Columns:
    """The columns of a flow on a page of a width."""
    scale = scale_of(flow)
    lanes, captions = lanes_of(flow), captions_of(flow)
    bodies = tuple(body_of(layer, scale) for layer in flow.layers)
    layers: list[list[int]] = [[] for _ in range(max(lanes.column, default=-1) + 1)]
    for place, column in enumerate(lanes.column):
        layers[column].append(place)
    span = {frame.id: _span(frame, lanes) for frame in flow.frames}
    ends = _ends(layers, lanes, bodies, captions, span)
    row = _rows(flow, lanes, span, ends, width - 2 * (MARGIN + STUB))
    center, left, right = (tuple(values) for values in zip(*ends, strict=True)) if ends else ((), (), ())
    return Columns(
        flow, lanes, bodies, captions, tuple(tuple(column) for column in layers), span, center, left, right, tuple(row)
    )


def _span(frame: Frame, lanes: Lanes) -> tuple[int, int]:
    columns = [lanes.column[place] for place in frame.layers]
    return min(columns), max(columns)


def _ends(
    layers: list[list[int]], lanes: Lanes, bodies: tuple[Body, ...], captions: tuple[Caption, ...],
    span: dict[str, tuple[int, int]],
) -> list[tuple[float, float, float]]:  # fmt: skip
    """The middle, left and right end of each column, one after another."""
    many = max(lanes.lane, default=0) > 0
    body_end: dict[int, float] = defaultdict(lambda: -GAP)
    words_end: dict[int, float] = defaultdict(lambda: -CAPTION_GAP)
    ends = []
    for column, places in enumerate(layers):
        x, widest = 0.0, 0.0
        extra = FRAME_GAP * sum((first == column) + (last == column - 1) for first, last in span.values())
        for place in places:
            # With several lanes, whole columns are kept apart, so that links can pass between them.
            key, half, words = 0 if many else lanes.lane[place], half_width(bodies[place]), captions[place].width / 2
            x = max(x, body_end[key] + GAP + extra + half, words_end[key] + CAPTION_GAP + extra + words)
            widest = max(widest, half, words)
        for place in places:
            key, half, words = 0 if many else lanes.lane[place], half_width(bodies[place]), captions[place].width / 2
            body_end[key] = max(body_end[key], x + half)
            words_end[key] = max(words_end[key], x + words, x + half - CAPTION_GAP)
        ends.append((x, x - widest, x + widest))
    return ends


def _rows(
    flow: Flow, lanes: Lanes, span: dict[str, tuple[int, int]], ends: list[tuple[float, float, float]], room: float
) -> list[int]:
    """The row of each column, by dynamic programming: few lines and no frame cut, rows about equally full."""
    count = len(ends)
    framed = FRAME_GAP * any(first == 0 or last == count - 1 for first, last in span.values())
    if count and ends[-1][2] - ends[0][1] + 1.2 * framed <= room + 2 * STUB - 4.0:
        return [0] * count
    best: list[tuple[float, int]] = [(0.0, 0)] + [(float("inf"), 0)] * count
    for end in range(1, count + 1):
        for start in range(end - 1, -1, -1):
            used = max(one[2] for one in ends[start:end]) - min(one[1] for one in ends[start:end])
            used += 1.2 * FRAME_GAP * any(first == start or last == end - 1 for first, last in span.values())
            if used > room and end - start > 1:
                break
            slack = 0.0 if end - start == count else SLACK_COST * (1 - min(used / room, 1)) ** 2
            cost = best[start][0] + slack + ROW_COST + (_cut(flow, lanes, span, start) if start else 0.0)
            if cost < best[end][0]:
                best[end] = (cost, start)
    row, end = [0] * count, count
    starts = []
    while end:
        end = best[end][1]
        starts.append(end)
    for number, start in enumerate(reversed(starts)):
        row[start:] = [number] * (count - start)
    return row


def _cut(flow: Flow, lanes: Lanes, span: dict[str, tuple[int, int]], column: int) -> float:
    """What a break before a column costs: one value may flow on, each further one has to be numbered."""
    crossing = {one for one, other in flow.links if lanes.column[one] < column <= lanes.column[other]}
    frames = sum(first < column <= last for first, last in span.values())
    return LINE_CUT * max(len(crossing) - 1, 0) + FRAME_CUT * frames
