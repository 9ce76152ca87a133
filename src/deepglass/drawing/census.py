"""Who owns what in a network: every module's own weights and work, and the sum of all beneath it.

The tree is that of the calls. A weight is counted once, where it first stands, however many modules share it; so the
root holds exactly Σ p.numel() of a module's parameters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from math import prod

from deepglass.tracing.graph import Graph
from deepglass.tracing.operation import Operation, Owner, Value

MOST_NAMED = 3
ITSELF = "(itself)"


@dataclass(frozen=True)
class Row:
    """A module (its calls together), or what it does by itself.

    name       the last part of its path;  path  all of it
    output     the shape it gives, of its first tensor, at its last call
    parameters, trainable   of itself and all beneath it, each weight where it first stands
    multiply_adds, output_bytes   of all its calls and all beneath it; views take no bytes
    seconds    of all its calls in one forward pass, None where not timed;  share  of the whole
    calls      how often it ran;  repeats  how many such modules in a row this line stands for
    """

    name: str
    path: str
    type: str
    depth: int = 0
    kind: str = ""
    output: tuple[int, ...] | None = None
    parameters: int = 0
    trainable: int = 0
    multiply_adds: int = 0
    output_bytes: int = 0
    seconds: float | None = None
    share: float | None = None
    calls: int = 1
    repeats: int = 1
    note: str = ""


@dataclass(frozen=True)
class Node:
    """A row and the rows beneath it."""

    row: Row
    children: tuple[Node, ...] = ()


def census(graph: Graph, seconds: Mapping[str, float]) -> Node:
    """The tree of a graph whose operations have their cost; `seconds` by path where it was timed."""
    return _Counting(graph, seconds).whole()


def unread(graph: Graph) -> tuple[Value, ...]:
    """The weights that nothing was seen to read; those of a module that could not be seen into are not among them."""
    blind = [graph.owners[operation.owner].path for operation in graph.operations if operation.kind == "opaque"]
    weights = (value for value in graph.values if value.role == "weight" and not graph.users[value.id])
    return tuple(value for value in weights if not any(_beneath(value, path) for path in blind))


def _beneath(value: Value, path: str) -> bool:
    return any(name.startswith(path + "." if path else "") for name in value.names or (value.name,))


def listed(node: Node, fold: bool) -> tuple[Row, ...]:
    """The rows of a tree in the order they ran; with `fold`, one stands for all that follow it and are alike."""
    rows = [node.row]
    for _, group in groupby(node.children, key=_likeness):
        alike = list(group)
        shown = [_folded(alike)] if fold and len(alike) > 1 else alike
        for child in shown:
            rows.extend(listed(child, fold))
    return tuple(rows)


def _likeness(node: Node) -> tuple[object, ...]:
    row = node.row
    numbers = (row.type, row.output, row.parameters, row.trainable, row.multiply_adds, row.output_bytes, row.calls)
    return (*numbers, row.note, tuple((child.row.name, _likeness(child)) for child in node.children))


def _folded(alike: list[Node]) -> Node:
    first, count = alike[0].row, len(alike)
    times = [node.row.seconds for node in alike if node.row.seconds is not None]
    shares = [node.row.share for node in alike if node.row.share is not None]
    beneath = ", the first is shown" if alike[0].children else ""
    row = replace(
        first, name=_joined([node.row.name for node in alike]), repeats=count,
        parameters=first.parameters * count, trainable=first.trainable * count,
        multiply_adds=first.multiply_adds * count, output_bytes=first.output_bytes * count,
        seconds=sum(times) if times else None, share=sum(shares) if shares else None,
        note="; ".join(filter(None, (f"{count:,} alike{beneath}", first.note))),
    )  # fmt: skip
    return Node(row, alike[0].children)


def _joined(names: list[str]) -> str:
    """Numbered ones by the first and the last, a few named ones by their names."""
    numbered = all(name.rpartition(".")[2].isdigit() for name in names)
    if len(names) <= MOST_NAMED and not numbered:
        return ", ".join(names)
    return f"{names[0]} … {names[-1].rpartition('.')[2]}"


class _Counting:
    """One walk over the calls, remembering which weights were counted, and where."""

    def __init__(self, graph: Graph, seconds: Mapping[str, float]) -> None:
        self.graph, self.seconds = graph, seconds
        self.counted: dict[int, str] = {}
        self.homes: dict[str, list[int]] = {}
        self.strangers: dict[str, list[int]] = {}
        self.unread = {value.id for value in unread(graph)}
        paths = {owner.path for owner in graph.owners}
        for value in graph.values:
            if value.role == "weight":
                self._house(value, paths)

    def _house(self, value: Value, paths: set[str]) -> None:
        """A weight lives with the module that holds it, or the nearest above that was called (`out_proj` never is)."""
        homes = [name.rpartition(".")[0] for name in value.names or (value.name,)]
        if value.id in self.unread and not any(home in paths for home in homes):
            self.strangers.setdefault(homes[0], []).append(value.id)
            return
        for home in homes:
            while home not in paths and home:
                home = home.rpartition(".")[0]
            self.homes.setdefault(home, []).append(value.id)

    def whole(self) -> Node:
        """The root, with the modules that never ran at its end."""
        root = self._node([self.graph.owners[0]], "", 0)
        extra = tuple(
            Node(self._settled(Row(home, home, "", 1, note="nothing reads it"), self._weights(places, home)))
            for home, places in self.strangers.items()
        )
        return Node(_summed(root.row, [node.row for node in extra]), root.children + extra)

    def _node(self, calls: Sequence[Owner], above: str, depth: int) -> Node:
        first, last = calls[0], calls[-1]
        operations = [self.graph.operations[place] for owner in calls for place in owner.operations]
        places = self.homes.get(first.path, [])
        own = self._weights(places, first.path)
        seconds, whole = self.seconds.get(first.path), self.seconds.get("")
        row = Row(
            _relative(first.path, above) or first.type, first.path, first.type, depth,
            output=self.graph.values[last.outputs[0]].shape if last.outputs else None,
            seconds=seconds, share=seconds / whole if seconds is not None and whole else None,
            calls=len(calls), note=self._note(calls, places),
        )  # fmt: skip
        own_row = self._worked(self._settled(replace(row, kind=_kind(operations)), own), operations)
        if not any(owner.children for owner in calls):
            alone = not depth and not own and len(operations) > 1
            return Node(own_row, tuple(self._single(operation) for operation in operations) if alone else ())
        return self._parent(row, own_row, calls, operations, own)

    def _parent(
        self, row: Row, own_row: Row, calls: Sequence[Owner], operations: list[Operation], own: list[Value]
    ) -> Node:
        children: list[Node] = []
        for group in self._groups(calls).values():
            children.append(self._node(group, row.path, row.depth + 1))
        if own_row.parameters or own_row.multiply_adds:
            children.insert(0, Node(_itself(own_row, row.depth + 1, operations, own)))
            return Node(_summed(row, [child.row for child in children]), tuple(children))
        bytes_only = replace(row, output_bytes=own_row.output_bytes)
        return Node(_summed(bytes_only, [child.row for child in children]), tuple(children))

    def _groups(self, calls: Sequence[Owner]) -> dict[str, list[Owner]]:
        found: dict[str, list[Owner]] = {}
        for owner in calls:
            for place in owner.children:
                child = self.graph.owners[place]
                found.setdefault(child.path, []).append(child)
        return found

    def _weights(self, places: Sequence[int], path: str) -> list[Value]:
        """Those of the weights that were not counted before."""
        fresh = [place for place in dict.fromkeys(places) if place not in self.counted]
        self.counted.update(dict.fromkeys(fresh, path))
        return [self.graph.values[place] for place in fresh]

    def _note(self, calls: Sequence[Owner], places: Sequence[int]) -> str:
        path = calls[0].path
        parts = [f"{len(calls)} calls"] if len(calls) > 1 else []
        tied = [place for place in places if self.counted.get(place, path) != path]
        for place in tied[:MOST_NAMED]:
            value = self.graph.values[place]
            mine = next((name for name in value.names if name.startswith(path + ".")), value.name)
            parts.append(f"{mine.rpartition('.')[2]} tied with {value.names[0] if value.names else value.name}")
        earlier = {owner.path for owner in self.graph.owners[: calls[0].id]}
        if path in earlier and path:
            parts.append("counted above")
        return "; ".join(parts)

    def _settled(self, row: Row, weights: Sequence[Value]) -> Row:
        count = sum(prod(value.shape) for value in weights)
        trainable = sum(prod(value.shape) for value in weights if value.trainable)
        return replace(row, parameters=row.parameters + count, trainable=row.trainable + trainable)

    def _worked(self, row: Row, operations: Sequence[Operation]) -> Row:
        made = {place for operation in operations for place in operation.outputs}
        fresh = (self.graph.values[place] for place in made if self.graph.values[place].alias_of is None)
        work = sum(operation.cost.multiply_adds for operation in operations)
        return replace(row, multiply_adds=work, output_bytes=sum(value.bytes for value in fresh))

    def _single(self, operation: Operation) -> Node:
        output = self.graph.values[operation.outputs[0]].shape if operation.outputs else None
        row = Row(operation.label, operation.label, operation.name, 1, operation.kind, output)
        return Node(self._worked(row, [operation]))


def _itself(row: Row, depth: int, operations: Sequence[Operation], own: Sequence[Value]) -> Row:
    """What a module with children has and does beside them: the weights it holds, the operations that cost."""
    held = [(value.names[0] if value.names else value.name).rpartition(".")[2] for value in own]
    done = [operation.name for operation in operations if operation.cost.multiply_adds]
    named = list(dict.fromkeys([*held, *done]))
    more = " …" if len(named) > MOST_NAMED else ""
    return replace(
        row, name=ITSELF, type=", ".join(named[:MOST_NAMED]) + more, depth=depth, output=None, seconds=None, share=None,
        calls=1, note="",
    )  # fmt: skip


def _summed(row: Row, parts: Sequence[Row]) -> Row:
    return replace(
        row,
        parameters=row.parameters + sum(part.parameters for part in parts),
        trainable=row.trainable + sum(part.trainable for part in parts),
        multiply_adds=row.multiply_adds + sum(part.multiply_adds for part in parts),
        output_bytes=row.output_bytes + sum(part.output_bytes for part in parts),
    )


def _kind(operations: Sequence[Operation]) -> str:
    """The kind of what costs most, else of what comes first."""
    chief = max(operations, key=lambda operation: operation.cost.multiply_adds, default=None)
    return chief.kind if chief else ""


def _relative(path: str, above: str) -> str:
    return path.removeprefix(above + ".") if above else path
