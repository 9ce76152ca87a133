"""How long every module of a network takes: a few forward passes with a clock at each door, and no trace left."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

PASSES = 5


def time_modules(
    thing: Any, inputs: Sequence[Any], options: dict[str, Any] | None = None, *, passes: int = PASSES
) -> dict[str, float]:
    """Seconds of every module by its path, of all its calls in a forward pass; "" is the whole.

    They are those of the pass of median length, so that parts add up to no more than their whole. The passes run
    without gradients, in the mode the module is in; its buffers and the state of the random generators are put back.
    The first pass only warms up. A module that raises raises here too.
    """
    module = getattr(thing, "_orig_mod", thing)
    wait = _waiting(module)
    with _unchanged(module), torch.no_grad():
        taken = [_one_pass(module, inputs, options or {}, wait) for _ in range(passes + 1)][1:]
    return sorted(taken, key=lambda seconds: seconds[""])[len(taken) // 2]


def _one_pass(
    module: Any, inputs: Sequence[Any], options: dict[str, Any], wait: Callable[[], None]
) -> dict[str, float]:
    seconds: dict[str, float] = {}
    with contextlib.ExitStack() as doors:
        for path, part in module.named_modules() if isinstance(module, nn.Module) else ():
            # A scripted module runs outside Python: it has no doors inside, and takes no hooks at some.
            if path and not isinstance(part, torch.jit.ScriptModule):
                _add_clock(doors, part, path, seconds, wait)
        wait()
        start = time.perf_counter()
        module(*inputs, **options)
        wait()
        seconds[""] = time.perf_counter() - start
    return seconds


def _add_clock(
    doors: contextlib.ExitStack, part: nn.Module, path: str, seconds: dict[str, float], wait: Callable[[], None]
) -> None:
    started: list[float] = []

    def enter(module: nn.Module, inputs: Any) -> None:
        wait()
        started.append(time.perf_counter())

    def leave(module: nn.Module, inputs: Any, outputs: Any) -> None:
        wait()
        seconds[path] = seconds.get(path, 0.0) + time.perf_counter() - started.pop()

    doors.callback(part.register_forward_pre_hook(enter).remove)
    doors.callback(part.register_forward_hook(leave).remove)


def _device(module: Any) -> torch.device:
    weights = module.parameters() if isinstance(module, nn.Module) else iter(())
    return next((weight.device for weight in weights), torch.device("cpu"))


def _waiting(module: Any) -> Callable[[], None]:
    """What to call before the clock is read: a device that works on its own must come to rest."""
    if _device(module).type in ("cpu", "meta") or not torch.accelerator.is_available():
        return lambda: None
    return torch.accelerator.synchronize


@contextlib.contextmanager
def _unchanged(module: Any) -> Iterator[None]:
    """Put the buffers and the random generators back as they were, whatever happens."""
    buffers: list[tuple[Tensor, Tensor]] = []
    if isinstance(module, nn.Module):
        buffers = [(buffer, buffer.clone()) for buffer in module.buffers()]
    device = _device(module)
    away = device.type not in ("cpu", "meta")
    with torch.random.fork_rng([device] if away else [], device_type=device.type if away else "cuda"):
        try:
            yield
        finally:
            with torch.no_grad():
                for buffer, kept in buffers:
                    buffer.copy_(kept)
