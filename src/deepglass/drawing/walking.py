"""The walk over a record that finds the parts of its figure: what is a layer, a join, a sliver, and what passes by."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

from deepglass.drawing.clinging import Node, flow_from
from deepglass.drawing.flow import Flow, Role, shortened
from deepglass.drawing.folding import Fold, fold, operations_of, stand_ins
from deepglass.drawing.likeness import Portrait, form_of, inner_shape, weights_into
from deepglass.drawing.portraits import portray
from deepglass.tracing.graph import Graph
from deepglass.tracing.operation import Operation, Owner

MOST_LAYERS = 40
LEAST_ALIKE = 4
MOST_JOINS = 8


def flow_of(graph: Graph, *, most: int = MOST_LAYERS) -> Flow:
    """The layers of a recorded network and how they are linked.

    Modules are closed, the deepest first and those of one class together, until at most `most` layers are left; each
    closed one is a block. Parts that repeat are kept once and framed. Where nothing can be closed, the middle of
    what is longer than three times that is one block.
    """
    closed: frozenset[int] = frozenset()
    while True:
        walk = _Walk(graph, closed)
        walk.run()
        more = walk.tangled() or (walk.fullest() if len(walk.standing()) > most else ())
        if not more:
            return shortened(walk.flow(), max(3 * most, 8))
        closed |= set(more)


class _Walk:
    """Goes through the operations in order; `source` knows for each value the part that made it."""

    def __init__(self, graph: Graph, closed: frozenset[int]) -> None:
        self.graph, self.closed = graph, closed
        self.whole = self._whole_modules()
        self.portraits = {operation.id: self._portrait(operation) for operation in graph.operations}
        self.folds = self._worthy_folds()
        self.stand_in = stand_ins(graph, self.folds)
        self.nodes: list[Node] = []
        self.names: Counter[str] = Counter()
        self.source: dict[int, int] = {}
        self.of_owner: dict[int, int] = {}
        self.seen_weights: set[int] = set()

    def _whole_modules(self) -> dict[int, tuple[Owner, Portrait]]:
        """For each module inside one that is shown as a whole: that one, and its portrait."""
        found: dict[int, tuple[Owner, Portrait]] = {}
        for owner in self.graph.owners:
            if owner.parent in found:
                found[owner.id] = found[owner.parent]
            elif owner.id in self.closed:
                found[owner.id] = (owner, Portrait("layer", "opaque", owner.type, form="block"))
            elif owner.parent is not None and (portrait := portray(self.graph, owner)) is not None:
                found[owner.id] = (owner, portrait)
        return found

    def _portrait(self, operation: Operation) -> Portrait:
        if operation.owner in self.whole:
            return self.whole[operation.owner][1]
        return portray(self.graph, operation) or Portrait("through", operation.kind, operation.name)

    def _worthy_folds(self) -> tuple[Fold, ...]:
        """Folds that spare the reader something: several layers each, or one layer many times over."""
        worthy = []
        for one in fold(self.graph):
            if one.parent in self.whole:
                continue
            keys = {self._key(self.graph.operations[place]) for place in operations_of(self.graph, one.repeats[0])}
            portraits = [self.whole[at][1] if what == "owner" else self.portraits[at] for what, at in keys]
            layers = sum(portrait.part == "layer" for portrait in portraits)
            shown = layers or any(portrait.part == "join" for portrait in portraits)
            if layers > 1 or (shown and one.count >= LEAST_ALIKE):
                worthy.append(one)
        return tuple(worthy)

    def _key(self, operation: Operation) -> tuple[str, int]:
        """The part that an operation belongs to: the module shown as a whole around it, or itself."""
        if operation.owner in self.whole:
            return ("owner", self.whole[operation.owner][0].id)
        return ("operation", operation.id)

    def run(self) -> None:
        for value in self.graph.inputs:
            self.source[value] = self._new_input(value)
        for operation in self.graph.operations:
            if operation.id in self.stand_in:
                self._follow(operation)
            elif self._key(operation)[0] == "owner":
                self._take_into_module(operation)
            else:
                self._take(operation)

    def _new_input(self, value: int) -> int:
        one = self.graph.values[value]
        whole_numbers = "float" not in one.dtype and "complex" not in one.dtype
        form = "tokens" if whole_numbers else form_of("other", inner_shape(self.graph, one))
        return self._new(f"input {one.name}", Portrait("layer", "other", one.name, form=form), value, "input", "")

    def _new(self, id: str, portrait: Portrait, value: int | None, role: Role, path: str) -> int:
        shape = None if value is None else inner_shape(self.graph, self.graph.values[value])
        self.names[id] += 1
        name = id if self.names[id] == 1 else f"{id} {self.names[id]}"
        self.nodes.append(Node(name, role, portrait, shape, path))
        return len(self.nodes) - 1

    def _follow(self, operation: Operation) -> None:
        """An operation left out by a fold: its values come from where its counterpart's come from."""
        shown = self.graph.operations[self.stand_in[operation.id]]
        for value, counterpart in zip(operation.outputs, shown.outputs, strict=False):
            if counterpart in self.source:
                self.source[value] = self.source[counterpart]

    def _take(self, operation: Operation) -> None:
        portrait = self.portraits[operation.id]
        sources = self._sources(operation, portrait)
        weights = {weight.id for weight in weights_into(self.graph, operation)}
        if portrait.part in ("join", "through"):
            # What joins depends on what it is given: adding a constant, or a value to itself, joins nothing.
            portrait = replace(portrait, part="join" if len(sources) > 1 else "through")
        if portrait.kind != "embedding" and not weights and self._are_tokens(sources):
            portrait = replace(portrait, part="through")
        if portrait.part == "through" or not (sources or weights) or (portrait.part == "sliver" and not sources):
            self._give(operation, sources[0] if sources else None)
            return
        path = self.graph.owners[operation.owner].path
        output = operation.outputs[0] if operation.outputs else None
        node = self._new(f"{path}.{operation.name}".lstrip("."), portrait, output, portrait.part, path)
        self._fill(node, operation, sources, weights)
        self._give(operation, node)

    def _take_into_module(self, operation: Operation) -> None:
        """An operation of a module that is shown as a whole."""
        owner, portrait = self.whole[operation.owner]
        sources = self._sources(operation, portrait)
        weights = {weight.id for weight in weights_into(self.graph, operation)}
        if owner.id not in self.of_owner:
            if not sources and (not weights or portrait.part != "layer"):
                return
            output = owner.outputs[0] if owner.outputs else None
            part: Role = "sliver" if portrait.part == "sliver" else "layer"
            self.of_owner[owner.id] = self._new(owner.path, portrait, output, part, owner.path)
        node = self.of_owner[owner.id]
        if portrait.kind == "attention" and not weights and self.nodes[node].weights:
            # After the projections come masks and biases of the scores: no branches of the network.
            sources = []
        self._fill(node, operation, [source for source in sources if source != node], weights)
        self._give(operation, node)

    def _fill(self, node: int, operation: Operation, sources: list[int], weights: set[int]) -> None:
        one = self.nodes[node]
        one.sources += [source for source in sources if source not in one.sources]
        one.weights |= weights - self.seen_weights
        one.operation = operation.id if one.operation < 0 else one.operation
        self.seen_weights |= weights

    def _give(self, operation: Operation, node: int | None) -> None:
        if node is not None:
            self.source.update(dict.fromkeys(operation.outputs, node))

    def _sources(self, operation: Operation, portrait: Portrait) -> list[int]:
        """The parts whose values an operation reads. Masks, made of whole numbers, are no branch of the network."""
        found = list(dict.fromkeys(self.source[value] for value in operation.inputs if value in self.source))
        if portrait.kind == "embedding" and portrait.part == "layer":
            return found
        real = [source for source in found if self.nodes[source].portrait.form != "tokens"]
        return real or ([] if portrait.kind == "attention" else found[:1])

    def _are_tokens(self, sources: list[int]) -> bool:
        return bool(sources) and all(self.nodes[source].portrait.form == "tokens" for source in sources)

    def standing(self) -> list[int]:
        return [place for place, node in enumerate(self.nodes) if node.role in ("layer", "join")]

    def tangled(self) -> tuple[int, ...]:
        """The modules that wrote out so many joins, most often a loop over time, that no line could be followed."""
        joins = Counter(self.graph.operations[node.operation].owner for node in self.nodes if node.role == "join")
        types = {self.graph.owners[owner].type for owner, count in joins.items() if count > MOST_JOINS and owner != 0}
        return tuple(owner.id for owner in self.graph.owners if owner.type in types and owner.id != 0)

    def fullest(self) -> tuple[int, ...]:
        """The modules to close next: of the innermost that hold several layers, the class that holds most in all."""
        held: Counter[int] = Counter()
        for place in self.standing():
            owner: int | None = self.graph.operations[self.nodes[place].operation].owner
            while owner is not None:
                held[owner] += 1
                owner = self.graph.owners[owner].parent
        full = {owner for owner, count in held.items() if count > 1 and owner != 0 and owner not in self.whole}
        outer = set()
        for owner in full:
            above = self.graph.owners[owner].parent
            while above is not None:
                outer.add(above)
                above = self.graph.owners[above].parent
        spared: Counter[str] = Counter()
        for owner in full - outer:
            spared[self.graph.owners[owner].type] += held[owner] - 1
        if not spared:
            return ()
        chosen = max(sorted(spared), key=lambda name: spared[name])
        # All calls of the class, those in folded parts too: they must go on being alike.
        return tuple(owner.id for owner in self.graph.owners if owner.type == chosen and owner.id != 0)

    def flow(self) -> Flow:
        around: dict[int, list[int]] = {}
        for place, one in enumerate(self.folds):
            for operation in operations_of(self.graph, one.repeats[0]):
                around.setdefault(operation, []).append(place)
        for node in self.nodes:
            node.folds = tuple(around.get(node.operation, ()))
        made = [*self.graph.outputs, *([] if self.graph.loss is None else [self.graph.loss])]
        ends = list(dict.fromkeys(self.source[value] for value in made if value in self.source))
        return flow_from(self.nodes, ends, self._numbers, [self._label(one) for one in self.folds])

    def _numbers(self, weights: set[int]) -> int:
        return sum(math.prod(self.graph.values[weight].shape) for weight in weights)

    def _label(self, one: Fold) -> tuple[str, int, bool]:
        types = [self.graph.owners[piece.id].type for piece in one.repeats[0] if piece.what == "owner"]
        return (types[0] if len(types) == 1 else "", one.count, one.chained)
