"""A run that ended half-way: which operation or module it was, and why, in the terms of the network."""

from __future__ import annotations

from collections.abc import Sequence

from deepglass.tracing.drafts import OwnerDraft
from deepglass.tracing.misfits import EXPLAIN, Call
from deepglass.tracing.operation import Operation, Owner, Value
from deepglass.tracing.tape import Tape


def failed_here(tape: Tape, error: BaseException, place: str = "") -> None:
    """The run ended here. An operation whose exception was caught on the way is not the one that failed."""
    causes: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in causes:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__
    failing, text = tape.failing, f"{type(error).__name__}: {error}"
    owner = tape.owners[tape.owner if failing is None else failing[2]]
    if failing is not None and failing[1] is not None and failing[0] in causes and not place:
        tape.failed = failing[1]
        tape.failed.failure = text
        owner = tape.owners[failing[1].owner]
    elif not place:
        tape.refused = _refused(tape, owner)
    tape.failure = tape.refused or f"{place or _named(owner)}: {text}"


def explained(operation: Operation, values: Sequence[Value], owners: Sequence[Owner]) -> str:
    """Why an operation raised, if shapes, sizes or types are the cause: layer, wanted, given, next move. Else ""."""
    call = Call(operation, values, owners)
    for names, explain in EXPLAIN:
        misfit = explain(call) if operation.name in names.split() else None
        if misfit is not None:
            shape = f", shape {misfit.value.shape}" if misfit.value.shape else ""
            giver = call.giver(misfit.value)
            return (
                f"{call.place} wants {misfit.wanted}, was given {misfit.given} by {giver}{shape}. Next: {misfit.next}"
            )
    return ""


def _refused(tape: Tape, owner: OwnerDraft) -> str:
    """A recurrent module looks at its input's width before it calls any operation."""
    wanted = getattr(owner.module, "input_size", None)
    shape = tape.values[owner.inputs[0]].shape if owner.inputs else ()
    if not isinstance(wanted, int) or not shape or shape[-1] == wanted:
        return ""
    return (
        f"{_named(owner)} wants {wanted} features in each step, was given {shape[-1]}, shape {shape}. "
        f"Next: set input_size={shape[-1]}, or change what comes before it"
    )


def _named(owner: OwnerDraft) -> str:
    return f"{owner.path} ({owner.type})" if owner.path else owner.type
