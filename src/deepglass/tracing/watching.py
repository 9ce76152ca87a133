"""What stands by while a network runs: one mode for the functions called, one for kernels, hooks for the modules."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as modules
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from deepglass.tracing.drafts import OperationDraft, OwnerDraft, region_of
from deepglass.tracing.kinds import Facts, facts_of, written_by
from deepglass.tracing.nesting import tensors_in
from deepglass.tracing.tape import Tape


class Calls(TorchFunctionMode):
    """Enters every function called on tensors, as the author wrote it, into the tape."""

    def __init__(self, tape: Tape, *, kernels: bool = False) -> None:
        super().__init__()
        self.tape, self.kernels, self.busy = tape, kernels, False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        facts = facts_of(func)
        if facts.silent or self.busy or torch._C._are_functorch_transforms_active():
            if facts.name in ("numpy", "__array__", "array"):
                self.tape.note("numbers leave the graph through numpy; what is made from them is a constant")
            return func(*args, **kwargs)
        if self.kernels:
            return self._nested(func, facts, args, kwargs)
        self.busy = True
        try:
            return entered(self.tape, func, facts, args, kwargs)
        finally:
            self.busy = False

    def _nested(self, func: Any, facts: Facts, args: Any, kwargs: Any) -> Any:
        """At the level of kernels, a function is the owner of the kernels it runs."""
        tape = self.tape
        parent = tape.owners[tape.owner]
        path = f"{parent.path}.{facts.name}" if parent.path else facts.name
        count = sum(owner.path == path and owner.parent == parent.id for owner in tape.owners) + 1
        owner = OwnerDraft(len(tape.owners), path, facts.name, parent.id, parent.depth + 1, count)
        owner.inputs = tape.seen((args, kwargs))
        tape.owners.append(owner)
        tape.stack.append(owner.id)
        self.busy = True
        try:
            result = func(*args, **kwargs)
            owner.outputs = tape.seen(result)
            return result
        finally:
            self.busy = False
            tape.stack.remove(owner.id)


class Kernels(TorchDispatchMode):
    """Enters every kernel of PyTorch (ATen) into the tape."""

    def __init__(self, tape: Tape) -> None:
        super().__init__()
        self.tape = tape

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return entered(self.tape, func, facts_of(func), args, kwargs or {})


def entered(tape: Tape, func: Any, facts: Facts, args: Any, kwargs: Any) -> Any:
    """Call a function and enter the call into the tape. What the tape cannot take never stops the call."""
    draft = OperationDraft(facts, [], [], tape.owner, func)
    try:
        written = _prepared(tape, draft, args, kwargs)
    except Exception as error:
        tape.note(f"{facts.name}: not recorded ({type(error).__name__}: {error})")
        return func(*args, **kwargs)
    if written is None:
        return func(*args, **kwargs)
    try:
        result = func(*args, **kwargs)
    except Exception as error:
        with contextlib.suppress(Exception):
            if not written:
                draft.args, draft.kwargs = tape.slotted((args, kwargs), draft.inputs)
        tape.failing = (error, draft, tape.owner)
        raise
    try:
        _finished(tape, draft, args, kwargs, result, written)
    except Exception as error:
        tape.note(f"{facts.name}: not recorded ({type(error).__name__}: {error})")
    return result


def _prepared(tape: Tape, draft: OperationDraft, args: Any, kwargs: Any) -> list[Tensor] | None:
    """Before the call: what it will write over is copied. Gives what is written; None for what is not shown."""
    facts = draft.facts
    written = written_by(facts, args, kwargs)
    if written and _only_counts(tape, written):
        return None
    if written:
        draft.args, draft.kwargs = tape.slotted((args, kwargs), draft.inputs)
        draft.in_place = facts.name not in ("batch_norm", "instance_norm", "embedding")
        draft.written = [draft.inputs.index(value) for value in tape.seen(written) if value in draft.inputs]
        if draft.in_place:
            draft.state += [
                ("written", (place, region_of(tensor))) for place, tensor in zip(draft.written, written, strict=False)
            ]
        tape.before_write(written)
    for name, value in surroundings(facts, args, kwargs):
        if name == "generator" and not tape.keeper.charge(value.numel()):
            continue
        draft.random = draft.random or name == "generator"
        draft.state.append((name, value))
    return written


def _finished(tape: Tape, draft: OperationDraft, args: Any, kwargs: Any, result: Any, written: list[Tensor]) -> None:
    """After the call: its results become values, unless they are none, or what was given."""
    results = tensors_in(result)
    if draft.in_place and not results:
        results = written
    if not results or draft.facts.makes:
        return
    if not draft.in_place and all(tape.known(tensor) is not None for tensor in results):
        return
    if not written:
        draft.args, draft.kwargs = tape.slotted((args, kwargs), draft.inputs)
    tape.made(draft, results, written, tensors_in((args, kwargs)))


def _only_counts(tape: Tape, written: list[Tensor]) -> bool:
    """Batch-norm counts its batches in a buffer: no part of what is computed."""
    known = tape.known(written[0])
    return known is not None and any(name.endswith("num_batches_tracked") for name in tape.values[known].names)


def surroundings(facts: Facts, args: Any, kwargs: Any) -> list[tuple[str, Any]]:
    """What, besides its arguments, the result of a call depends on: autocast, grad mode, the random generator."""
    found: list[tuple[str, Any]] = [("grad", torch.is_grad_enabled())]
    if torch._C._is_any_autocast_enabled():
        kinds = ("cpu", "cuda", "mps")
        found += [
            ("autocast", (kind, torch.get_autocast_dtype(kind))) for kind in kinds if torch.is_autocast_enabled(kind)
        ]
    if facts.random and _draws(facts, kwargs):
        tensors = tensors_in((args, kwargs))
        device = tensors[0].device if tensors else torch.device(kwargs.get("device") or torch.get_default_device())
        found.append(("generator", generator_state(device)))
        found.append(("device", device))
    return found


def _draws(facts: Facts, kwargs: dict[str, Any]) -> bool:
    """Whether a function that can draw at random will: dropout while learning, not after."""
    if facts.name == "scaled_dot_product_attention":
        return bool(kwargs.get("dropout_p"))
    if facts.name == "multi_head_attention_forward":
        return bool(kwargs.get("training", True))
    return bool(kwargs.get("training", True)) and kwargs.get("p", 1) != 0


def generator_state(device: torch.device) -> Tensor:
    """The state of the default random generator of a device."""
    if device.type == "cuda":
        return torch.cuda.get_rng_state(device)
    return torch.mps.get_rng_state() if device.type == "mps" else torch.get_rng_state()


class Modules:
    """Follows the calls of modules by global hooks: the nesting, the paths, what goes in and out."""

    def __init__(self, tape: Tape, root: Any, names: dict[int, str]) -> None:
        self.tape, self.root, self.names = tape, root, names
        self._counts: Counter[str] = Counter()
        self._taken: Counter[str] = Counter()
        self._thread = threading.get_ident()

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """The hooks are there inside the `with`, and gone after it."""
        before = modules.register_module_forward_pre_hook(self._enter)
        after = modules.register_module_forward_hook(self._leave, with_kwargs=True, always_call=True)
        try:
            yield
        finally:
            before.remove()
            after.remove()
            # torch itself leaves this mark behind, and torch.compile then warns of hooks that are long gone.
            getattr(modules, "_global_forward_hooks_with_kwargs", {}).pop(after.id, None)

    def _elsewhere(self) -> bool:
        """Another thread's modules, or one inside vmap or grad, whose tensors are not what they seem."""
        return threading.get_ident() != self._thread or torch._C._are_functorch_transforms_active()

    def _enter(self, module: nn.Module, args: Any) -> None:
        tape = self.tape
        if self._elsewhere():
            return
        if module is self.root and not tape.stack and not self._counts[""]:
            owner = tape.owners[0]
        else:
            parent = tape.owners[tape.owner]
            owner = OwnerDraft(len(tape.owners), self._path(module), type(module).__name__, parent.id, parent.depth + 1)
            tape.owners.append(owner)
        self._counts[owner.path] += 1
        owner.call, owner.module, owner.training = self._counts[owner.path], module, module.training
        with quiet(), unharmed(tape, owner):
            owner.inputs = tape.seen(args)
            weights = dict.fromkeys(weight for weight in module._parameters.values() if weight is not None)
            owner.weights = [tape.value_of(weight) for weight in weights]
        tape.stack.append(owner.id)

    def _leave(self, module: nn.Module, args: Any, *rest: Any) -> None:
        tape = self.tape
        if self._elsewhere() or not tape.stack:
            return
        owner = tape.owners[tape.stack[-1]]
        if owner.module is not module:
            return
        with quiet(), unharmed(tape, owner):
            if len(rest) == 2:
                self._close(owner, module, args, *rest)
            elif tape.failing is None or tape.failing[1] is None:
                tape.failing = tape.failing or (RuntimeError(), None, owner.id)
        tape.stack.pop()

    def _close(self, owner: OwnerDraft, module: nn.Module, args: Any, kwargs: Any, result: Any) -> None:
        tape = self.tape
        owner.inputs += [value for value in tape.seen(kwargs) if value not in owner.inputs]
        unseen = [tensor for tensor in tensors_in(result) if tape.known(tensor) is None]
        if unseen:
            inputs: list[int] = []
            slotted = tape.slotted((args, kwargs), inputs)
            tape.note(
                f"{owner.path or owner.type}: the inside of this {owner.type} could not be seen; it is one operation"
            )
            inputs += [tape.read(weight) for weight in module.parameters()]
            tape.opaque(owner.type, inputs, tensors_in(result), module, *slotted)
        owner.outputs = tape.seen(result)

    def _path(self, module: nn.Module) -> str:
        """The module's name in the root; one met elsewhere is called after its class."""
        if id(module) not in self.names:
            stem = type(module).__name__.lower()
            self._taken[stem] += 1
            path = stem if self._taken[stem] == 1 else f"{stem}_{self._taken[stem]}"
            for name, part in module.named_modules():
                self.names.setdefault(id(part), f"{path}.{name}" if name else path)
        return self.names[id(module)]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """What the record itself does with tensors is not recorded."""
    with torch._C.DisableTorchFunction():
        yield


@contextlib.contextmanager
def unharmed(tape: Tape, owner: OwnerDraft) -> Iterator[None]:
    """What the record cannot take of a module does not stop the module."""
    try:
        yield
    except Exception as error:
        tape.note(f"{owner.path or owner.type}: not recorded ({type(error).__name__}: {error})")


@contextlib.contextmanager
def custom_functions(calls: Calls | None) -> Iterator[None]:
    """A hand-written backward pass (torch.autograd.Function) is one operation: its `apply` is seen."""
    if calls is None:
        yield
        return
    function: Any = torch.autograd.Function
    original = function.__dict__["apply"]
    plain: Callable[..., Any] = original.__func__
    thread = threading.get_ident()

    def apply(cls: Any, *args: Any, **kwargs: Any) -> Any:
        if threading.get_ident() != thread or calls.busy:
            return plain(cls, *args, **kwargs)
        facts = Facts(cls.__name__, f"{cls.__module__}.{cls.__qualname__}", "opaque")
        calls.busy = True
        try:
            return entered(calls.tape, lambda *a, **k: plain(cls, *a, **k), facts, args, kwargs)
        finally:
            calls.busy = False

    function.apply = classmethod(apply)
    try:
        yield
    finally:
        function.apply = original
