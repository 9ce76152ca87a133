"""Columns and lanes for a flow: what runs in order stands side by side, what runs in parallel one above the other."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from deepglass.drawing.flow import Flow


@dataclass(frozen=True)
class Lanes:
    """For each layer its column, from 0 on the left, and its lane, from 0 for the trunk upward."""

    column: tuple[int, ...]
    lane: tuple[int, ...]


def lanes_of(flow: Flow) -> Lanes:
    """Columns by longest path; lanes by cutting the network into paths, the longest first.

    The longest path is the trunk. Each further path takes the place above it where the fewest lines lead through other
    layers: a lane that is free over all columns from where the path leaves what is placed to where it joins it again,
    or a new lane pushed in between. Links always lead to a column further right.
    """
    column = _columns(flow)
    before, after = _neighbors(flow)
    lanes: list[list[tuple[int, int]]] = []
    lane: dict[int, int] = {}
    left = set(range(len(flow.layers)))
    while left:
        path = _longest_path(left, before)
        start = max((column[one] + 1 for one in before[path[0]]), default=column[path[0]])
        end = min((column[one] - 1 for one in after[path[-1]]), default=column[path[-1]])
        span = min(start, column[path[0]]), max(end, column[path[-1]])
        level, pushed = _best_level(flow, column, lanes, lane, path, span)
        if pushed:
            lanes.insert(level, [])
            lane = {place: at + (at >= level) for place, at in lane.items()}
        lanes[level].append(span)
        lane.update(dict.fromkeys(path, level))
        left -= set(path)
    return Lanes(tuple(column), tuple(lane[place] for place in range(len(flow.layers))))


def _best_level(
    flow: Flow, column: list[int], lanes: list[list[tuple[int, int]]], lane: dict[int, int], path: list[int],
    span: tuple[int, int],
) -> tuple[int, bool]:  # fmt: skip
    """The lane for a path, and whether it is pushed in as a new one."""
    if not lanes:
        return 0, True
    free = [
        level
        for level in range(1, len(lanes))
        if not any(span[0] <= last and first <= span[1] for first, last in lanes[level])
    ]
    best = (float("inf"), 0, 0)
    for level, pushed in [(level, 0) for level in free] + [(level, 1) for level in range(1, len(lanes) + 1)]:
        tried = {place: at + (pushed and at >= level) for place, at in lane.items()} | dict.fromkeys(path, level)
        top = max(tried.values()) + 1
        best = min(best, (_crossed(flow, column, tried) + 0.4 * top + 0.01 * level, level, pushed))
    return best[1], bool(best[2])


def _crossed(flow: Flow, column: list[int], lane: dict[int, int]) -> float:
    """How many layers stand in the way of lines that lead straight down or up into a join, and how far lines go."""
    at = {(column[place], level) for place, level in lane.items()}
    total = 0.0
    for one, other in flow.links:
        if one in lane and other in lane and lane[one] != lane[other]:
            low, high = sorted((lane[one], lane[other]))
            total += 0.05 * (high - low)
            if flow.layers[other].role == "join":
                total += sum((column[other], level) in at for level in range(low + 1, high))
    return total


def _neighbors(flow: Flow) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
    before: dict[int, list[int]] = defaultdict(list)
    after: dict[int, list[int]] = defaultdict(list)
    for one, other in flow.links:
        before[other].append(one)
        after[one].append(other)
    return before, after


def _columns(flow: Flow) -> list[int]:
    before, after = _neighbors(flow)
    column = [0] * len(flow.layers)
    for place in range(len(flow.layers)):
        column[place] = max((column[one] + 1 for one in before[place]), default=0)
    for place in reversed(range(len(flow.layers))):
        # What needs no input (embedded positions) stands where it is used, not at the far left.
        if not before[place] and after[place] and flow.layers[place].role != "input":
            column[place] = min(column[one] for one in after[place]) - 1
    lowest = min(column, default=0)
    return [one - lowest for one in column]


def _longest_path(left: set[int], before: dict[int, list[int]]) -> list[int]:
    """The longest path through the layers that are left; of equal ones, the one that ran first."""
    length: dict[int, int] = {}
    source: dict[int, int] = {}
    for place in sorted(left):
        length[place] = 1
        for one in before[place]:
            if one in left and length[one] + 1 > length[place]:
                length[place], source[place] = length[one] + 1, one
    path = [max(sorted(left), key=lambda place: (length[place], -place))]
    while path[-1] in source:
        path.append(source[path[-1]])
    return path[::-1]
