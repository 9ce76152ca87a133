"""Where each layer of a figure stands: lanes above one another as close as arcs, frames and captions allow."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from deepglass.drawing.captions import Caption
from deepglass.drawing.flow import Flow, Frame
from deepglass.drawing.solids import Body
from deepglass.drawing.spacing import FRAME_GAP, MARGIN, STUB, Columns, columns_of

BRANCH, TAG = 16.0, 26.0
ARC, FRAME_HEAD, FRAME_FOOT = 13.0, 21.0, 8.0
LANE_GAP, ROW_GAP, CAPTION_DROP, LINE_ROOM = 12.0, 26.0, 15.0, 10.0

Item = tuple[int, int] | str
"""What lies above layers: a link that goes over some, or the id of a frame."""


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
        """Where its back ends, and the line that goes on begins."""
        return self.left + self.body.width + self.body.overhang

    @property
    def center(self) -> float:
        return (self.left + self.exit) / 2


@dataclass(frozen=True)
class Room:
    """A frame's piece in one row; `first`: the one that bears its name."""

    frame: Frame
    left: float
    top: float
    right: float
    bottom: float
    first: bool


@dataclass(frozen=True)
class Placed:
    """A flow with places.

    arcs      the height (y) of each link that goes over others
    carriers  for links that leave by another layer's entry: that layer
    straight  links that flow on from one row to the next;  rows   top and bottom of each
    """

    flow: Flow
    spots: tuple[Spot, ...]
    rooms: tuple[Room, ...]
    arcs: dict[tuple[int, int], float]
    carriers: dict[tuple[int, int], int]
    straight: frozenset[tuple[int, int]]
    rows: tuple[tuple[float, float], ...]
    right: float


def placed(flow: Flow, width: float) -> Placed:
    """Places for all layers on a page of a width."""
    columns = columns_of(flow, width)
    carriers = {link: carrier for link in flow.links if (carrier := columns.carrier(link)) is not None}
    spots: dict[int, Spot] = {}
    rooms: list[Room] = []
    arcs: dict[tuple[int, int], float] = {}
    rows: list[tuple[float, float]] = []
    top = MARGIN
    for number in range(max(columns.row, default=-1) + 1):
        row = _Row(columns, carriers, number)
        row.stand(top, spots)
        rooms += row.rooms(spots)
        arcs |= row.arcs()
        rows.append((top, row.bottom))
        top = row.bottom + ROW_GAP
    ordered = tuple(spots[place] for place in range(len(flow.layers)))
    right = max([0.0, *(max(spot.exit, spot.center + spot.caption.width / 2) for spot in ordered)])
    right = max([right, *(room.right for room in rooms)])
    straight = frozenset(link for link in flow.links if columns.flows_on(link))
    return Placed(flow, ordered, tuple(rooms), arcs, carriers, straight, tuple(rows), right)


@dataclass
class _Row:
    """One row: how high things go above each lane's middle, then how far the lanes must be apart.

    Columns count double: a link begins right of its source (odd) and ends above its target (even).
    """

    columns: Columns
    carriers: dict[tuple[int, int], int]
    number: int
    heights: dict[int, dict[Item, float]] = field(default_factory=dict)
    tops: dict[int, dict[int, float]] = field(default_factory=dict)
    offset: dict[int, float] = field(default_factory=dict)
    base: float = 0.0
    bottom: float = 0.0

    def __post_init__(self) -> None:
        self.here = [column for column, row in enumerate(self.columns.row) if row == self.number]
        self.places = [place for column in self.here for place in self.columns.layers[column]]
        lane = self.columns.lanes.lane
        self.levels = sorted({lane[place] for place in self.places})
        self.of_lane = {level: [place for place in self.places if lane[place] == level] for level in self.levels}
        starts_framed = any(first == self.here[0] for first, _ in self.columns.span.values())
        stub = (STUB if self.number else 4.0) + FRAME_GAP * 1.1 * starts_framed
        self.shift = MARGIN + stub - min(self.columns.left[column] for column in self.here)
        for level in self.levels:
            self._raise_skyline(level)
        for level in self.levels:
            self.offset[level] = self._offset(level)

    def _raise_skyline(self, level: int) -> None:
        """How high above a lane's middle each arc and frame goes, so that none crosses what it spans."""
        tops: dict[int, float] = defaultdict(float)
        for place in self.of_lane[level]:
            at = 2 * self.columns.lanes.column[place]
            tops[at] = max(tops[at], self.columns.bodies[place].ascent)
        found: dict[Item, float] = {}
        for _, first, last, item in sorted(self._items(level), key=lambda one: one[:3]):
            over = max(tops[at] for at in range(first, last + 1))
            found[item] = over + (FRAME_HEAD if isinstance(item, str) else self._arc_room(item))
            tops.update(dict.fromkeys(range(first, last + 1), found[item]))
        self.heights[level], self.tops[level] = found, tops

    def _arc_room(self, link: tuple[int, int]) -> float:
        rows = {self.columns.row_of(place) for place in link}
        return ARC if len(rows) == 1 or link in self.carriers else TAG

    def _items(self, level: int) -> list[tuple[int, int, int, Item]]:
        """What lies above a lane's layers, with its length, first and last half-column."""
        items: list[tuple[int, int, int, Item]] = []
        for link in self.columns.flow.links:
            span = self._arc_span(link, level)
            if span:
                items.append((span[1] - span[0], *span, link))
        for frame in reversed(self.columns.flow.frames):
            inside = self._inside(frame)
            if inside and self._top_level(frame) == level:
                items.append((2 * (inside[-1] - inside[0]) + 1, 2 * inside[0], 2 * inside[-1] + 1, frame.id))
        return items

    def _inside(self, frame: Frame) -> list[int]:
        first, last = self.columns.span[frame.id]
        return [column for column in self.here if first <= column <= last]

    def _top_level(self, frame: Frame) -> int:
        return max((self.columns.lanes.lane[one] for one in frame.layers if one in self.places), default=-1)

    def _arc_span(self, link: tuple[int, int], level: int) -> tuple[int, int] | None:
        """The half-columns that a link passes over in this row, if it has to go over anything in this lane."""
        columns, (one, other) = self.columns, link
        start, end = columns.lanes.column[one], columns.lanes.column[other]
        rows = (columns.row[start], columns.row[end])
        carrier = self.carriers.get(link)
        if self.number not in rows:
            return None
        if rows[0] != rows[1] and carrier is None:
            at, place = (2 * start, one) if rows[0] == self.number else (2 * end - 1, other)
            return (at, at + 1) if columns.lanes.lane[place] == level and not columns.flows_on(link) else None
        if columns.row[end] != self.number or columns.lanes.lane[one] != level:
            return None
        first = 2 * start + 1 if carrier is None else 2 * columns.lanes.column[carrier]
        if columns.lanes.lane[other] > level:
            return (first, 2 * end) if self._comes_from_below(link) else None
        # On its way down, a line must also clear what stands in its own lane above its end.
        last = 2 * end + (columns.lanes.lane[other] < level)
        column = columns.lanes.column
        between = carrier is not None or any(first < 2 * column[place] < last for place in self.of_lane[level])
        return (first, 2 * end) if between else None

    def _comes_from_below(self, link: tuple[int, int]) -> bool:
        """Whether a link into a higher lane cannot go up at once and on along that lane, which is taken."""
        one, other = link
        column, lane = self.columns.lanes.column, self.columns.lanes.lane
        taken = any(column[one] < column[place] < column[other] for place in self.of_lane[lane[other]])
        return taken or self.columns.flow.layers[other].role == "join"

    def _below(self, level: int) -> tuple[float, float]:
        """How far the layers of a lane reach below its middle, without and with their captions."""
        body = max(self.columns.bodies[place].descent for place in self.of_lane[level])
        words = max(self.columns.captions[place].height for place in self.of_lane[level])
        return body, body + (words + CAPTION_DROP - 11 if words else 0.0)

    def _offset(self, level: int) -> float:
        """How far a lane's middle lies above the trunk's: clear of what the lanes below have under its layers."""
        need = 0.0
        lanes, links = self.columns.lanes, self.columns.flow.links
        below = self._below(level)[1] + LANE_GAP + self._foot(level)
        for place in self.of_lane[level]:
            column = lanes.column[place]
            ends = [lanes.column[one if other == place else other] for one, other in links if place in (one, other)]
            beside = [end for end in ends if end in self.here]
            for lower in (lower for lower in self.levels if lower < level):
                base, tops = self.offset[lower], self.tops[lower]
                need = max(need, base + max(tops[2 * column], tops[2 * column + 1]) + below)
                for at in range(2 * min([column, *beside]) + 1, 2 * max([column, *beside])):
                    need = max(need, base + tops[at] + LINE_ROOM)
        return need

    def stand(self, top: float, spots: dict[int, Spot]) -> None:
        """Fills in the spots of the row's layers, the highest thing at `top`."""
        tall = max(
            self.offset[level] + max([*self.tops[level].values(), *(self.columns.bodies[p].ascent for p in places)])
            for level, places in self.of_lane.items()
        )
        self.base = top + max([tall, *(self._frame_height(frame) for frame in self.columns.flow.frames)])
        for level, places in self.of_lane.items():
            middle = self.base - self.offset[level]
            below = self._below(level)[0]
            for place in places:
                column = self.columns.lanes.column[place]
                left = self.columns.center[column] + self.shift - self.columns.half(place)
                spots[place] = Spot(
                    self.number, column, level, left, middle, self.columns.bodies[place],
                    self.columns.captions[place], middle + below + CAPTION_DROP,
                )  # fmt: skip
        lowest = max(self._below(level)[1] + self._foot(level) - self.offset[level] for level in self.levels)
        self.bottom = self.base + lowest

    def _low_level(self, frame: Frame) -> int:
        return min((self.columns.lanes.lane[one] for one in frame.layers if one in self.places), default=-1)

    def _foot(self, level: int) -> float:
        """What the frames that end below a lane take there."""
        ending = [frame for frame in self.columns.flow.frames if self._low_level(frame) == level]
        depth = [sum(set(one.layers) <= set(other.layers) for other in ending) for one in ending]
        return FRAME_FOOT * max(depth, default=0)

    def _frame_height(self, frame: Frame) -> float:
        """How high a frame goes above the trunk's middle; 0 where it has no part in this row."""
        inside = self._inside(frame)
        if not inside or self._top_level(frame) not in self.levels:
            return 0.0
        level = self._top_level(frame)
        own = self.offset[level] + self.heights[level][frame.id]
        spans = range(2 * inside[0], 2 * inside[-1] + 1)
        lower = [self.offset[j] + self.tops[j][at] + FRAME_HEAD for j in self.levels if j < level for at in spans]
        return max([own, *lower])

    def arcs(self) -> dict[tuple[int, int], float]:
        """The height of each link that goes over layers of this row."""
        return {
            item: self.base - self.offset[level] - height
            for level, heights in self.heights.items()
            for item, height in heights.items()
            if isinstance(item, tuple)
        }

    def rooms(self, spots: dict[int, Spot]) -> list[Room]:
        """The frames' pieces in this row."""
        rooms = []
        frames = self.columns.flow.frames
        for frame in frames:
            inside = self._inside(frame)
            if not inside or self._top_level(frame) not in self.levels:
                continue
            around = sum(set(frame.layers) < set(other.layers) for other in frames)
            within = sum(set(other.layers) < set(frame.layers) for other in frames)
            pad = FRAME_GAP * (0.6 + 0.4 * within)
            left = min(self.columns.left[column] for column in inside) + self.shift - pad
            entries = [
                spots[carrier].left
                for carrier in self.carriers.values()
                if carrier in frame.layers and carrier in spots
            ]
            left = min([left, *(entry - BRANCH - 7 for entry in entries if entry > left)])
            right = max(self.columns.right[column] for column in inside) + self.shift + pad
            first = inside[0] == self.columns.span[frame.id][0]
            low = self._low_level(frame)
            bottom = self.base - self.offset[low] + self._below(low)[1] + self._foot(low) - FRAME_FOOT * around
            top = self.base - self._frame_height(frame)
            rooms.append(Room(frame, left, top, right, bottom, first))
        return rooms
