"""A tape made into a frozen Graph: names given, what served nothing left out, places renumbered."""

from __future__ import annotations

from collections import Counter

from torch import Tensor

from deepglass.tracing.drafts import OperationDraft
from deepglass.tracing.failing import explained
from deepglass.tracing.graph import Graph
from deepglass.tracing.naming import settings_of
from deepglass.tracing.nesting import exchanged
from deepglass.tracing.operation import Operation, Owner, Slot, Value
from deepglass.tracing.tape import Tape


def frozen(tape: Tape, outputs: list[int], target: Tensor | None, level: str) -> Graph:
    """The graph of what the tape holds."""
    failed = tape.failed
    operations = [*tape.operations, *([failed] if failed is not None else [])]
    places = _places(tape, operations, outputs)
    labels = _labels(operations)
    number = {id(operation): place for place, operation in enumerate(operations)}
    names = _names(tape, places, labels, number)
    owners = tuple(_owners(tape, operations, places))
    values = tuple(_value(tape, old, names, places, number) for old in places)
    wanted = (
        "" if failed is None else explained(_operation(failed, labels[-1], len(operations) - 1, places), values, owners)
    )
    failure = wanted or tape.failure
    spoiled = len(tape.keeper.spoiled)
    if spoiled:
        tape.note(f"{spoiled} values were changed in place by something unseen, and are not kept")
    read = {value for operation in operations for value in operation.inputs}
    weights = [value for value in places if tape.values[value].role == "weight"]
    return Graph(
        title=tape.owners[0].type,
        operations=tuple(
            _operation(draft, label, place, places)
            for place, (draft, label) in enumerate(zip(operations, labels, strict=True))
        ),
        values=values,
        owners=owners,
        inputs=tuple(places[value.id] for value in tape.values if value.role == "input"),
        outputs=tuple(places[value] for value in outputs),
        loss=None if target is None else places[tape.value_of(target)],
        weights=tuple(places[value] for value in weights if value in read),
        unused=tuple(name for value in weights if value not in read for name in tape.values[value].names),
        failure=failure,
        wrong_shapes=bool(wanted or tape.refused),
        failed=None if failed is None else len(operations) - 1,
        budget=tape.keeper.budget,
        kept_bytes=tape.keeper.used,
        level=level,
        notes=tuple(tape.notes),
    )


def _places(tape: Tape, operations: list[OperationDraft], outputs: list[int]) -> dict[int, int]:
    """The values that stay, by their new places: those read, made or returned, inputs and weights."""
    used = {value for draft in operations for value in (*draft.inputs, *draft.outputs)} | set(outputs)
    used |= {value for owner in tape.owners for value in (*owner.inputs, *owner.outputs)}
    stay = [value.id for value in tape.values if value.id in used or value.role in ("input", "weight")]
    return {old: new for new, old in enumerate(stay)}


def _labels(operations: list[OperationDraft]) -> list[str]:
    """Each operation's name and number: linear_1, relu_1, linear_2."""
    counts: Counter[str] = Counter()
    found = []
    for draft in operations:
        counts[draft.facts.name] += 1
        found.append(f"{draft.facts.name}_{counts[draft.facts.name]}")
    return found


def _names(tape: Tape, places: dict[int, int], labels: list[str], number: dict[int, int]) -> dict[int, str]:
    """A name for each value, unique in the graph."""
    taken: Counter[str] = Counter()
    found: dict[int, str] = {}
    for old in places:
        draft = tape.values[old]
        if draft.maker is None:
            name = draft.name or (draft.names[0] if draft.names else "")
            name = name or _numbered(draft.role, taken)
        else:
            label = labels[number[id(draft.maker)]]
            name = label if len(draft.maker.outputs) == 1 else f"{label}[{draft.maker.outputs.index(old)}]"
        taken[name] += 1
        found[old] = name if taken[name] == 1 else f"{name}#{taken[name]}"
    return found


def _numbered(role: str, taken: Counter[str]) -> str:
    count = 1
    while taken[f"{role}_{count}"]:
        count += 1
    return f"{role}_{count}"


def _value(tape: Tape, old: int, names: dict[int, str], places: dict[int, int], number: dict[int, int]) -> Value:
    draft = tape.values[old]
    return Value(
        id=places[old],
        name=names[old],
        role=draft.role,
        shape=draft.shape,
        dtype=draft.dtype,
        bytes=draft.bytes,
        maker=None if draft.maker is None else number[id(draft.maker)],
        names=draft.names,
        trainable=draft.role == "weight" and draft.tracked,
        alias_of=None if draft.alias_of is None else places.get(draft.alias_of),
        tracked=draft.tracked,
        kept=tape.keeper.kept(("value", old)),
        gradient=tape.keeper.kept(("gradient", old)),
    )


def _operation(draft: OperationDraft, label: str, place: int, places: dict[int, int]) -> Operation:
    def moved(slot: Slot) -> Slot:
        return Slot(places[slot.value])

    return Operation(
        id=place,
        name=draft.facts.name,
        label=label,
        function=draft.facts.function,
        kind=draft.facts.kind,
        inputs=tuple(places[value] for value in draft.inputs),
        outputs=tuple(places[value] for value in draft.outputs),
        owner=draft.owner,
        settings=settings_of(draft.call, draft.args, draft.kwargs),
        in_place=draft.in_place,
        random=draft.random,
        failure=draft.failure,
        written=tuple(draft.written),
        returned=tuple(draft.returned),
        state=tuple(draft.state),
        call=draft.call,
        args=exchanged(draft.args, Slot, moved),
        kwargs=tuple(exchanged(draft.kwargs, Slot, moved).items()),
    )


def _owners(tape: Tape, operations: list[OperationDraft], places: dict[int, int]) -> list[Owner]:
    ran: dict[int, list[int]] = {}
    inside: dict[int, list[int]] = {}
    for place, draft in enumerate(operations):
        ran.setdefault(draft.owner, []).append(place)
    for owner in tape.owners:
        if owner.parent is not None:
            inside.setdefault(owner.parent, []).append(owner.id)
    return [
        Owner(
            owner.id,
            owner.path,
            owner.type,
            owner.parent,
            owner.depth,
            owner.call,
            inputs=tuple(places[value] for value in owner.inputs),
            outputs=tuple(places[value] for value in owner.outputs),
            weights=tuple(places[value] for value in owner.weights),
            operations=tuple(ran.get(owner.id, ())),
            children=tuple(inside.get(owner.id, ())),
            training=owner.training,
        )
        for owner in tape.owners
    ]
