"""The vital signs of any module during one step, layer by layer: hooks are put on, the step taken, all read at once.

Hooks only look: no weight, gradient, buffer, mode or random state is touched, and none is left when `end` has returned.
"""

from __future__ import annotations

import contextlib
import math
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch._C._functorch import is_functorch_wrapped_tensor  # pyright: ignore[reportMissingImports]

from deepglass.diagnosing.gauges import (
    LIMITS,
    Figure,
    Readings,
    dead_share,
    extent,
    measurable,
    moments,
    norms,
    plain,
    saturated_share,
    share,
    size,
    strided,
    tensors_in,
    unit_axis,
)
from deepglass.diagnosing.strata import Layer, bare, layers_of

# Weights larger than this are sampled for their update: a copy of all could be more than the memory that is left.
MOST_WEIGHTS = 2**20
MOST_NOTES = 8


class Vitals:
    """Begin before a step, end after it; nothing costs anything in between steps.

    module     the network
    moves      (optimizer, its weights), where weights are moved: gradients are read as the optimizer is about to use
               them, after clipping; without it, as they are at the end
    entrances  the modules called from outside, if not the module itself: of the first one called, inputs and outputs

    Of forward passes before the first backward pass of a move all count, and the mean is told; later ones are the
    second micro-batch, or recomputed, and do not. Gradients of outputs below 1e-19 read as 0 in float32. Of sharded
    weights each process tells its own share.
    """

    def __init__(self, module: nn.Module, moves: tuple[tuple[Any, tuple[nn.Parameter, ...]], ...] = (),
                 entrances: tuple[nn.Module, ...] = ()) -> None:  # fmt: skip
        self.layers = layers_of(module)
        self.moves = moves
        self.entrances = tuple(dict.fromkeys(bare(entry) for entry in entrances or (module,)))
        self.compiled = any(hasattr(m, "_orig_mod") or getattr(m, "_compiled_call_impl", None) is not None
                            for m in module.modules())  # fmt: skip
        self.weights = {id(w): w for layer in self.layers for w in layer.weights}
        self.notes: list[str] = []
        self._forget()

    def begin(self) -> None:
        """Put the hooks on. A layer that cannot be hooked is left out, with a note."""
        self.drop()
        if self.compiled and "torch._dynamo" in sys.modules:
            # What is compiled calls no hook: for this step it runs as it was written.
            self._undo.enter_context(torch.compiler.set_stance("force_eager"))
        for optimizer, weights in self.moves:
            self._hold(optimizer.register_step_pre_hook(self._before_move(weights)))
        for layer in self.layers:
            if isinstance(layer.module, torch.jit.ScriptModule):
                continue
            with self._trying(layer.path):
                self._hold(layer.module.register_forward_hook(self._after_layer(layer)))
        for module in self.entrances:
            with self._trying("the inputs"):
                self._hold(module.register_forward_pre_hook(self._entered, with_kwargs=True))
                self._hold(module.register_forward_hook(self._left))
        moving = [weight for weight in self.weights.values() if weight.requires_grad]
        self._former = {id(w): strided(plain(w), MOST_WEIGHTS).clone() for w in moving}

    def end(self, **more: Tensor) -> dict[str, Any]:
        """Take the hooks off and read everything, with more numbers from the device beside, in one go.

        Returns "input" [{"type", "mean", "spread", "largest"}], "outputs", "layers" by path in the order they ran,
        "unused" (paths of layers whose weights nothing ran or moved), "bad" where something was no finite number,
        "notes" on what could not be read, and the numbers given.
        """
        try:
            if not self._moved:
                self._take_gradients(tuple(self.weights.values()))
            with self._trying("the weights"):
                self._take_weights()
            self._readings.add("more", {name: Figure(tensor.detach().float()) for name, tensor in more.items()})
            read: dict[Any, dict[str, float]] = {}
            with self._trying("the figures"):
                read = self._readings.read()
            return self._told(read)
        finally:
            self.drop()

    def drop(self) -> None:
        """Take the hooks off and forget the step."""
        self._undo.close()
        self._forget()

    def _forget(self) -> None:
        self._undo, self._readings = contextlib.ExitStack(), Readings()
        self._former: dict[int, Tensor] = {}
        self._axes: dict[int, int] = {}
        self._ran: dict[str, None] = {}
        self._types: list[str] = []
        self._entrance: nn.Module | None = None
        self._in_backward, self._moved = False, False

    def _hold(self, handle: Any) -> None:
        self._undo.callback(handle.remove)

    @contextlib.contextmanager
    def _trying(self, place: str) -> Iterator[None]:
        """What cannot be read at one place is noted, and the step goes on."""
        try:
            yield
        except Exception as error:  # whatever a foreign module's tensors do, the run is not harmed
            note = f"{place or 'the module'} could not be read: {error}".splitlines()[0]
            if note not in self.notes and len(self.notes) < MOST_NOTES:
                self.notes.append(note)
                warnings.warn(f"watch: {note}", stacklevel=2)

    def _entered(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        if self._entrance is not None:
            return
        self._entrance = module
        with self._trying("the inputs"):
            for number, tensor in enumerate(tensors_in((args, kwargs))):
                self._types.append(str(tensor.dtype).removeprefix("torch."))
                if tensor.numel() and not tensor.is_complex():
                    self._readings.add(("input", number), extent(plain(tensor)))

    def _left(self, module: nn.Module, args: Any, outputs: Any) -> None:
        if module is not self._entrance or self._in_backward:
            return
        with self._trying("the outputs"):
            found = measurable(outputs)
            if found is not None:
                self._readings.add("outputs", extent(found))

    def _after_layer(self, layer: Layer) -> Callable[..., None]:
        kind = type(layer.module)
        squashing, weighty = LIMITS.get(kind), bool(layer.weights)

        def look(module: nn.Module, args: Any, outputs: Any) -> None:
            if self._in_backward:
                return
            self._ran[layer.path] = None
            with self._trying(layer.path):
                found = measurable(outputs)
                if found is None or is_functorch_wrapped_tensor(found):
                    return
                figures = moments(found)
                figures["dead"] = dead_share(found, unit_axis(module, found, self._axes))
                if squashing or weighty:
                    figures["saturated"] = saturated_share(found, squashing)
                self._readings.add(layer.path, figures)
                self._await_gradient(layer.path, outputs)

        return look

    def _await_gradient(self, path: str, outputs: Any) -> None:
        tensor = next(entry for entry in tensors_in(outputs) if entry.is_floating_point() and entry.numel())
        if not tensor.requires_grad:
            return

        def arrive(gradient: Tensor) -> None:
            self._in_backward = True
            with self._trying(path):
                self._readings.add(path, {"gradient": size(plain(gradient))})

        self._hold(tensor.register_hook(arrive))

    def _before_move(self, weights: tuple[nn.Parameter, ...]) -> Callable[..., None]:
        def look(*_: Any) -> None:
            self._take_gradients(weights)
            self._in_backward, self._moved = False, True

        return look

    def _take_gradients(self, weights: tuple[nn.Parameter, ...]) -> None:
        with self._trying("the gradients"):
            reached = {id(w): _entries(w.grad) for w in weights if id(w) in self.weights and w.grad is not None}
            for place, norm in zip(reached, norms(list(reached.values())), strict=True):
                self._readings.add(place, {"gradient": Figure(norm)})

    def _take_weights(self) -> None:
        whole = norms([plain(weight) for weight in self.weights.values()])
        for place, norm in zip(self.weights, whole, strict=True):
            self._readings.add(place, {"weight": Figure(norm)})
        now = [strided(plain(self.weights[place]), MOST_WEIGHTS) for place in self._former]
        before = list(self._former.values())
        known = norms(before)
        torch._foreach_sub_(before, now)
        for place, norm, moved in zip(self._former, known, norms(before), strict=True):
            self._readings.add(place, {"former": Figure(norm), "moved": Figure(moved)})

    def _told(self, read: dict[Any, dict[str, float]]) -> dict[str, Any]:
        reached = {place for place in self.weights if "gradient" in read.get(place, {})}
        order = {layer.path: layer for layer in self.layers}
        idle = [layer for layer in self.layers if layer.path not in self._ran and layer.weights]
        used = [layer.path for layer in idle if any(id(weight) in reached for weight in layer.weights)]
        unused = [layer.path for layer in idle if layer.path not in used and layer.trainable]
        line = {
            "input": [{"type": kind} | read.get(("input", number), {}) for number, kind in enumerate(self._types)],
            "outputs": read.get("outputs", {}),
            "layers": {path: _of_layer(order[path], read) for path in (*self._ran, *used)},
            "unused": unused,
            **read.get("more", {}),
        }
        bad: list[None] = []
        rounded = _rounded(line, bad)
        return rounded | ({"bad": True} if bad else {}) | ({"notes": list(self.notes)} if self.notes else {})


def _entries(gradient: Tensor) -> Tensor:
    # A sparse gradient holds a row for each that was looked up: those that are left out are zero.
    return plain(gradient.detach().coalesce().values() if gradient.is_sparse else gradient)


def _of_layer(layer: Layer, read: dict[Any, dict[str, float]]) -> dict[str, Any]:
    seen = read.get(layer.path, {})
    told: dict[str, Any] = {"type": type(layer.module).__name__}
    told |= {name: seen.get(name) for name in ("mean", "spread", "dead")}
    told |= {"saturated": seen["saturated"]} if "saturated" in seen else {}
    told["gradient"] = seen.get("gradient")
    if not layer.weights:
        return told
    found = [(share(weight.detach()).numel(), read.get(id(weight), {})) for weight in layer.weights]
    told["weight"] = _root([(count, figures["weight"]) for count, figures in found if "weight" in figures])
    told["weight_gradient"] = _root([(n, figures["gradient"]) for n, figures in found if "gradient" in figures])
    moved, former = (math.hypot(*(f[name] for _, f in found if name in f)) for name in ("moved", "former"))
    told["update"] = moved / former if former else None
    return told | ({} if layer.trainable else {"frozen": True})


def _root(norms_of: list[tuple[int, float]]) -> float | None:
    """The root mean square over several tensors, of their sizes and norms."""
    total = sum(count for count, _ in norms_of)
    return math.hypot(*(norm for _, norm in norms_of)) / math.sqrt(total) if total else None


def _rounded(found: Any, bad: list[None]) -> Any:
    """Six digits of every figure; what is no finite number becomes None, and marks the layer it is in as bad."""
    if isinstance(found, float):
        if found - found != 0:
            bad.append(None)
            return None
        return float(f"{found:.6g}")
    if isinstance(found, list):
        return [_rounded(entry, bad) for entry in found]
    if not isinstance(found, dict):
        return found
    before = len(bad)
    told = {name: _rounded(entry, bad) for name, entry in found.items()}
    return told | ({"bad": True} if "type" in told and len(bad) > before else {})
