"""Where each layer of a figure stands: rows that fit the page, lanes above one another, room for arcs and frames."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from deepglass.seeing.captions import Caption, captions_of
from deepglass.seeing.flow import Flow, Frame
from deepglass.seeing.lanes import Lanes, lanes_of
from deepglass.seeing.solids import Body, body_of, scale_of

MARGIN, STUB = 14.0, 18.0
GAP, CAPTION_GAP, FRAME_GAP = 25.0, 11.0, 13.0
ARC, FRAME_HEAD, FRAME_FOOT = 13.0, 21.0, 8.0
LANE_GAP, ROW_GAP, CAPTION_DROP = 12.0, 26.0, 15.0


@dataclass(frozen=True)
class Spot:
    """A layer's place: `left` is where its first front begins, `middle` the line its fronts are centered on."""

    row: int
    column: int
    lane: int
    left: float
    middle: float
    body: Body
    caption: Caption
    caption_top: float

    @property
    def exit(self) -> float:
        return self.left + self.body.width + self.body.overhang

    @property
    def center(self) -> float:
        return self.left + (self.body.width + self.body.overhang) / 2


@dataclass(frozen=True)
class Room:
    """A frame's piece in one row."""

    frame: Frame
    left: float
    top: float
    right: float
    bottom: float
    first: bool


@dataclass(frozen=True)
class Placed:
    """A flow with places. `arcs`: the height (y) of each link that goes over others; `rows`: their tops and bottoms."""

    flow: Flow
    spots: tuple[Spot, ...]
    rooms: tuple[Room, ...]
    arcs: dict[tuple[int, int], float]
    rows: tuple[tuple[float, float], ...]
    right: float


def placed(flow: Flow, width: float) -> Placed:
    """Places for all layers on a page of a width."""
    return _Placing(flow, width).result()


class _Placing:
    def __init__(self, flow: Flow, width: float) -> None:
        self.flow, self.width = flow, width
        scale = scale_of(flow)
        self.bodies = [body_of(layer, scale) for layer in flow.layers]
        self.captions = captions_of(flow)
        self.lanes: Lanes = lanes_of(flow)
        self.columns: list[list[int]] = [[] for _ in range(max(self.lanes.column, default=-1) + 1)]
        for place, column in enumerate(self.lanes.column):
            self.columns[column].append(place)
        self.span = {frame.id: self._span(frame) for frame in flow.frames}
        self.center, self.left_end, self.right_end = self._one_row()
        self.row = self._rows()

    def _span(self, frame: Frame) -> tuple[int, int]:
        columns = [self.lanes.column[place] for place in frame.layers]
        return min(columns), max(columns)

    def _half(self, place: int) -> float:
        return (self.bodies[place].width + self.bodies[place].overhang) / 2

    def _one_row(self) -> tuple[list[float], list[float], list[float]]:
        """The middle and the ends of each column, were the page wide enough for all."""
        many = max(self.lanes.lane, default=0) > 0
        body_end: dict[int, float] = defaultdict(lambda: -GAP)
        caption_end: dict[int, float] = defaultdict(lambda: -CAPTION_GAP)
        center, left, right = [], [], []
        for column, places in enumerate(self.columns):
            x, half, words = 0.0, 0.0, 0.0
            # Beside each other in several lanes, columns are kept apart whole, so that links pass between them.
            extra = FRAME_GAP * sum((first == column) + (last == column - 1) for first, last in self.span.values())
            for place in places:
                key = 0 if many else self.lanes.lane[place]
                caption = self.captions[place].width / 2
                x = max(x, body_end[key] + GAP + extra + self._half(place))
                if caption:
                    x = max(x, caption_end[key] + CAPTION_GAP + 2 * extra + caption)
                half, words = max(half, self._half(place)), max(words, caption)
            for place in places:
                key = 0 if many else self.lanes.lane[place]
                body_end[key] = max(body_end[key], x + self._half(place))
                caption_end[key] = max(
                    caption_end[key], x + self.captions[place].width / 2, x + self._half(place) - CAPTION_GAP
                )
            center.append(x)
            left.append(x - max(half, words))
            right.append(x + max(half, words))
        return center, left, right

    def _rows(self) -> list[int]:
        """The row of each column: breaks where few links and no frame are cut, rows about equally full."""
        count, room = len(self.columns), self.width - 2 * (MARGIN + STUB)
        best: list[tuple[float, int]] = [(0.0, 0)] + [(float("inf"), 0)] * count
        for end in range(1, count + 1):
            for start in range(end - 1, -1, -1):
                used = max(self.right_end[start:end]) - min(self.left_end[start:end])
                if used > room and end - start > 1:
                    break
                slack = 0.0 if end == count and start == 0 else 60 * (1 - min(used / room, 1)) ** 2
                cost = best[start][0] + slack + 25 + (self._cut(start) if start else 0.0)
                if cost < best[end][0]:
                    best[end] = (cost, start)
        row, end, starts = [0] * count, count, []
        while end:
            starts.append(best[end][1])
            end = best[end][1]
        for number, start in enumerate(reversed(starts)):
            row[start:] = [number] * (count - start)
        return row

    def _cut(self, column: int) -> float:
        """What a break before a column costs."""
        crossing = sum(self.lanes.column[one] < column <= self.lanes.column[other] for one, other in self.flow.links)
        frames = sum(first < column <= last for first, last in self.span.values())
        return 40.0 * max(crossing - 1, 0) + 60.0 * frames

    def result(self) -> Placed:
        spots: dict[int, Spot] = {}
        rooms: list[Room] = []
        arcs: dict[tuple[int, int], float] = {}
        rows: list[tuple[float, float]] = []
        top = MARGIN
        for row in range(max(self.row, default=-1) + 1):
            bottom = self._place_row(row, top, spots, rooms, arcs)
            rows.append((top, bottom))
            top = bottom + ROW_GAP
        ordered = tuple(spots[place] for place in range(len(self.flow.layers)))
        right = max((max(spot.exit, spot.center + spot.caption.width / 2) for spot in ordered), default=0.0)
        right = max([right, *(room.right for room in rooms)])
        return Placed(self.flow, ordered, tuple(rooms), arcs, tuple(rows), right)

    def _place_row(
        self, row: int, top: float, spots: dict[int, Spot], rooms: list[Room], arcs: dict[tuple[int, int], float]
    ) -> float:
        """Fills in the spots, frames and arcs of one row; its bottom."""
        columns = [column for column in range(len(self.columns)) if self.row[column] == row]
        places = [place for column in columns for place in self.columns[column]]
        shift = MARGIN + (STUB if row else 4.0) - min(self.left_end[column] for column in columns)
        shift += FRAME_GAP * sum(first == columns[0] for first, _ in self.span.values()) * 0.6
        levels = sorted({self.lanes.lane[place] for place in places})
        heights = {lane: self._skyline(row, lane, levels) for lane in levels}
        middle, y = {}, top
        for lane in reversed(levels):
            here = [place for place in places if self.lanes.lane[place] == lane]
            tall = max(heights[lane].values(), default=0.0)
            middle[lane] = y + max([tall, *(self.bodies[place].ascent for place in here)])
            below = max(self.bodies[place].descent for place in here)
            words = max(self.captions[place].height for place in here)
            foot = self._foot(columns) if lane == levels[0] else 0.0
            y = middle[lane] + below + (CAPTION_DROP - 11 + words if words else 0.0) + foot + LANE_GAP
            for place in here:
                left = self.center[self.lanes.column[place]] + shift - self._half(place)
                spots[place] = Spot(
                    row, self.lanes.column[place], lane, left, middle[lane], self.bodies[place],
                    self.captions[place], middle[lane] + below + CAPTION_DROP,
                )  # fmt: skip
        bottom = y - LANE_GAP
        for item, height in ((item, height) for lane in levels for item, height in heights[lane].items()):
            if isinstance(item, tuple):
                arcs[item] = middle[self.lanes.lane[item[0]]] - height
        self._rooms(columns, shift, heights, middle, spots, bottom, rooms)
        return bottom

    def _foot(self, columns: list[int]) -> float:
        depth = [sum(first <= column <= last for first, last in self.span.values()) for column in columns]
        return FRAME_FOOT * max(depth, default=0)

    def _skyline(self, row: int, lane: int, levels: list[int]) -> dict[tuple[int, int] | str, float]:
        """How high above the lane's middle each arc and frame goes, so that none crosses what it spans.

        Columns count double: an arc begins right of its source (odd) and ends above its target (even).
        """
        tops: dict[int, float] = defaultdict(float)
        for place, at in enumerate(self.lanes.column):
            if self.row[at] == row and self.lanes.lane[place] == lane:
                tops[2 * at] = max(tops[2 * at], self.bodies[place].ascent)
        items: list[tuple[int, int, int, tuple[int, int] | str]] = []
        for link in self.flow.links:
            span = self.arc_span(link, row, lane)
            if span:
                items.append((span[1] - span[0], span[0], span[1], link))
        for frame in reversed(self.flow.frames):
            first, last = self.span[frame.id]
            inside = [column for column in range(first, last + 1) if self.row[column] == row]
            highest = max(self.lanes.lane[place] for place in frame.layers)
            if inside and min(highest, levels[-1]) == lane:
                items.append((2 * (inside[-1] - inside[0]) + 1, 2 * inside[0], 2 * inside[-1] + 1, frame.id))
        found: dict[tuple[int, int] | str, float] = {}
        for _, first, last, item in sorted(items, key=lambda one: one[:3]):
            over = max(tops[at] for at in range(first, last + 1))
            found[item] = over + (FRAME_HEAD if isinstance(item, str) else ARC)
            tops.update(dict.fromkeys(range(first, last + 1), found[item]))
        return found

    def arc_span(self, link: tuple[int, int], row: int, lane: int) -> tuple[int, int] | None:
        """The half-columns that a link passes over in a row of a lane, if it has to go over anything there."""
        one, other = link
        start, end = self.lanes.column[one], self.lanes.column[other]
        if self.row[start] != row and self.row[end] != row:
            return None
        if self.row[start] != self.row[end]:
            if self._flows_on(link):
                return None
            at, level = (start, self.lanes.lane[one]) if self.row[start] == row else (end, self.lanes.lane[other])
            half = 2 * at + (self.row[start] == row)
            return (half, half) if level == lane else None
        if self.lanes.lane[one] != lane or self.lanes.lane[other] < lane:
            return None
        between = any(
            self.lanes.lane[place] == lane and start < self.lanes.column[place] < end
            for place in range(len(self.flow.layers))
        )
        return (2 * start + 1, 2 * end) if between else None

    def _flows_on(self, link: tuple[int, int]) -> bool:
        """Whether a link goes straight on from the end of a row to the start of the next."""
        one, other = link
        start, end = self.lanes.column[one], self.lanes.column[other]
        if self.lanes.lane[one] != 0 or self.lanes.lane[other] != 0 or self.row[end] != self.row[start] + 1:
            return False
        between = [p for p, at in enumerate(self.lanes.column) if self.lanes.lane[p] == 0 and start < at < end]
        return not between

    def _rooms(
        self, columns: list[int], shift: float, heights: dict[int, dict[tuple[int, int] | str, float]],
        middle: dict[int, float], spots: dict[int, Spot], bottom: float, rooms: list[Room],
    ) -> None:  # fmt: skip
        for frame in self.flow.frames:
            first, last = self.span[frame.id]
            inside = [column for column in columns if first <= column <= last]
            lane = next((lane for lane in heights if frame.id in heights[lane]), None)
            if not inside or lane is None:
                continue
            around = sum(o != frame and set(frame.layers) < set(o.layers) for o in self.flow.frames)
            within = sum(o != frame and set(o.layers) < set(frame.layers) for o in self.flow.frames)
            pad = FRAME_GAP * (0.62 + 0.5 * within)
            rooms.append(Room(
                frame, min(self.left_end[c] for c in inside) + shift - pad, middle[lane] - heights[lane][frame.id],
                max(self.right_end[c] for c in inside) + shift + pad, bottom - FRAME_FOOT * around, inside[0] == first,
            ))  # fmt: skip
