"""From parts in a row to a flow: normalization and activation set against the layer beside them, joins made one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from deepglass.drawing.flow import Flow, Frame, Layer, Role, Sliver
from deepglass.drawing.likeness import Portrait

FRONTS = ("convolution", "linear", "attention", "recurrent")
MERGING = ("+", "‖", "×")


@dataclass
class Node:
    """A part while it is gathered: what it is, from which parts it takes its inputs, in which folds it lies.

    operation   the first that ran in it;  folds   places of the folds around it, outermost first
    """

    id: str
    role: Role
    portrait: Portrait
    shape: tuple[int, ...] | None
    path: str
    sources: list[int] = field(default_factory=list)
    weights: set[int] = field(default_factory=set)
    operation: int = -1
    folds: tuple[int, ...] = ()


def flow_from(
    nodes: list[Node], ends: list[int], size_of: Callable[[set[int]], int], frames: list[tuple[str, int, bool]]
) -> Flow:
    """The flow of parts gathered in order. `frames` holds label, count and chained for each fold that a node names."""
    return _Clinging(nodes, ends, size_of, frames).flow()


class _Clinging:
    def __init__(
        self,
        nodes: list[Node],
        ends: list[int],
        size_of: Callable[[set[int]], int],
        frames: list[tuple[str, int, bool]],
    ) -> None:
        self.nodes, self.ends, self.size_of, self.frames = nodes, ends, size_of, frames
        self.users = self._users()
        self.holder: dict[int, int] = {}
        self.before: dict[int, list[int]] = defaultdict(list)
        self.after: dict[int, list[int]] = defaultdict(list)

    def flow(self) -> Flow:
        self._merge_joins()
        for place, node in enumerate(self.nodes):
            if place not in self.holder:
                self._hold(place, node)
        standing = [place for place in range(len(self.nodes)) if self.holder[place] == place]
        links = sorted({link for place in range(len(self.nodes)) for link in self._links_into(place)})
        linked = {place for link in links for place in link}
        # An input that only masks read has no link, and would stand about.
        stray = {p for p in standing if self.nodes[p].role == "input" and p not in linked and len(standing) > 1}
        kept = [place for place in standing if place not in stray]
        number = {place: index for index, place in enumerate(kept)}
        ends = dict.fromkeys(self.holder[place] for place in self.ends)
        return Flow(
            tuple(self._layer(place) for place in kept),
            tuple((number[one], number[other]) for one, other in links),
            self._frames(kept, number),
            tuple(number[place] for place in ends if place in number),
            tuple(f"not drawn: {self.nodes[place].portrait.caption}, which no layer reads" for place in sorted(stray)),
        )

    def _users(self) -> dict[int, list[int]]:
        users: dict[int, list[int]] = defaultdict(list)
        for place, node in enumerate(self.nodes):
            for source in node.sources:
                users[source].append(place)
        for place in self.ends:
            users[place].append(-1)
        return users

    def _merge_joins(self) -> None:
        """One join of three in place of two in a row."""
        for place, node in enumerate(self.nodes):
            if node.role != "join" or len(self.users[place]) != 1 or node.portrait.sign not in MERGING:
                continue
            user = self.users[place][0]
            other = self.nodes[user] if user >= 0 else None
            if other is not None and other.role == "join" and other.portrait.sign == node.portrait.sign:
                if other.folds != node.folds:
                    continue
                at = other.sources.index(place)
                other.sources[at : at + 1] = [source for source in node.sources if source not in other.sources]
                self.holder[place] = user
                for source in node.sources:
                    self.users[source] = [user if one == place else one for one in self.users[source]]
        for place in sorted(self.holder, reverse=True):
            self.holder[place] = self.holder.get(self.holder[place], self.holder[place])

    def _hold(self, place: int, node: Node) -> None:
        self.holder[place] = place
        if node.role != "sliver" or len(node.sources) != 1:
            return
        source = node.sources[0]
        held_by = self.holder[source]
        if self.users[source] == [place] and self._can_hold(held_by) and self._together(place, source):
            self.holder[place] = held_by
            self.after[held_by].append(place)
            return
        chain, front = self._way_to_front(place)
        if front is not None:
            self.before[front] += chain
            self.holder.update(dict.fromkeys(chain, front))

    def _can_hold(self, place: int) -> bool:
        node = self.nodes[place]
        return node.role in ("layer", "sliver") and node.portrait.form != "sign" and node.portrait.caption != "?"

    def _together(self, one: int, other: int) -> bool:
        return self.nodes[one].folds == self.nodes[other].folds

    def _way_to_front(self, place: int) -> tuple[list[int], int | None]:
        """The slivers from here to the one layer that takes what they make, if it can bear them on its front."""
        chain = [place]
        while True:
            users = self.users[chain[-1]]
            if len(users) != 1 or users[0] < 0 or not self._together(chain[-1], users[0]):
                return chain, None
            node = self.nodes[users[0]]
            if node.role == "layer":
                fit = node.portrait.kind in FRONTS and len(node.sources) == 1 and node.portrait.form != "sign"
                return chain, users[0] if fit else None
            if node.role != "sliver":
                return chain, None
            chain.append(users[0])

    def _links_into(self, place: int) -> list[tuple[int, int]]:
        """Links to what holds a part; those that would lead back (from a folded part into the first) are left out."""
        end = self.holder[place]
        starts = (self.holder[source] for source in self.nodes[place].sources)
        return [(start, end) for start in starts if start < end]

    def _layer(self, place: int) -> Layer:
        node = self.nodes[place]
        before, after = self.before[place], self.after[place]
        weights = set(node.weights).union(*(self.nodes[one].weights for one in (*before, *after)))
        return Layer(
            node.id, node.role, node.portrait, node.shape, node.path, self.size_of(weights),
            tuple(self._sliver(one) for one in before), tuple(self._sliver(one) for one in after),
        )  # fmt: skip

    def _sliver(self, place: int) -> Sliver:
        node = self.nodes[place]
        return Sliver(node.id, node.portrait, node.shape or ())

    def _frames(self, kept: list[int], number: dict[int, int]) -> tuple[Frame, ...]:
        found = []
        for fold, (label, count, chained) in enumerate(self.frames):
            inside = tuple(number[place] for place in kept if fold in self.nodes[place].folds)
            if inside:
                found.append(Frame(f"fold {fold}", label, count, inside, chained))
        return tuple(found)
