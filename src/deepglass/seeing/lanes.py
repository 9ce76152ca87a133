"""Columns and lanes for a flow: what runs in order stands side by side, what runs in parallel one above the other."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from deepglass.seeing.flow import Flow


@dataclass(frozen=True)
class Lanes:
    """For each layer its column, from 0 on the left, and its lane, from 0 for the trunk upward."""

    column: tuple[int, ...]
    lane: tuple[int, ...]


def lanes_of(flow: Flow) -> Lanes:
    """Columns by longest path; lanes by cutting the network into paths, the longest first.

    The longest path is the trunk. Each further path takes the lowest lane that is free over all columns from where it
    leaves what is placed to where it joins it again. Links always lead to a column further right.
    """
    column = _columns(flow)
    before, after = _neighbors(flow)
    lane = [-1] * len(flow.layers)
    taken: dict[int, list[tuple[int, int]]] = defaultdict(list)
    left = set(range(len(flow.layers)))
    while left:
        path = _longest_path(left, before)
        start = max((column[one] + 1 for one in before[path[0]]), default=column[path[0]])
        end = min((column[one] - 1 for one in after[path[-1]]), default=column[path[-1]])
        start, end = min(start, column[path[0]]), max(end, column[path[-1]])
        level = 0 if len(left) == len(flow.layers) else 1
        while any(start <= last and first <= end for first, last in taken[level]):
            level += 1
        taken[level].append((start, end))
        for one in path:
            lane[one] = level
        left -= set(path)
    return Lanes(tuple(column), tuple(lane))


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
