"""A module looked at and left as it was: its modes, buffers and the random state come back, also after an error.

Gradients are asked of `torch.autograd.grad`, which adds to nobody's `.grad`; hooks are taken off by who put them on.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from deepglass.errors import ModelError, nearest


def opened(thing: Any) -> tuple[Callable[..., Any], nn.Module | None, str]:
    """What to call, the module behind it if there is one, and its name; `thing.model` is taken where there is one.

    Raises ModelError for what cannot be called.

    >>> opened(nn.Linear(2, 1))[2], opened(torch.sin)[1:]
    ('Linear', (None, 'sin'))
    """
    model = getattr(thing, "model", None)
    if not isinstance(thing, nn.Module) and isinstance(model, nn.Module):
        thing = model
    if isinstance(thing, nn.Module):
        return thing, thing, type(thing).__name__
    if not callable(thing):
        raise ModelError(f"a {type(thing).__name__} cannot be looked into.",
                         next="give a torch module, a function of tensors, or a run")  # fmt: skip
    return thing, None, getattr(thing, "__name__", type(thing).__name__)


def home_of(module: nn.Module | None) -> tuple[torch.device, torch.dtype]:
    """Where a module's weights lie, and the type of its first weight that holds real numbers."""
    tensors = [] if module is None else [*module.parameters(), *module.buffers()]
    floating = [tensor.dtype for tensor in tensors if tensor.is_floating_point()]
    device = tensors[0].device if tensors else torch.device("cpu")
    return device, floating[0] if floating else torch.get_default_dtype()


@contextlib.contextmanager
def unharmed(module: nn.Module | None) -> Iterator[None]:
    """Evaluation mode and gradients within; afterwards every mode, buffer and random state is what it was."""
    modules = [] if module is None else list(module.modules())
    modes = [(part, part.training) for part in modules]
    buffers = [
        (part._buffers, name, buffer, buffer.detach().clone())
        for part in modules
        for name, buffer in part._buffers.items()
        if buffer is not None
    ]
    device, _ = home_of(module)
    # A recurrent net's fast kernel on NVIDIA refuses a backward pass in evaluation mode; the plain one does not.
    recurrent = device.type == "cuda" and any(isinstance(part, nn.RNNBase) for part in modules)
    fast = torch.backends.cudnn.enabled and not recurrent
    devices, named = ([], "cuda") if device.type == "cpu" else ([device], device.type)
    with torch.random.fork_rng(devices, device_type=named), torch.inference_mode(False), torch.enable_grad():
        try:
            for part in modules:
                part.training = False
            with torch.backends.cudnn.flags(enabled=fast) if recurrent else contextlib.nullcontext():
                yield
        finally:
            for part, mode in modes:
                part.training = mode
            for holder, name, buffer, kept in buffers:
                holder[name] = buffer
                if not _same(buffer, kept):
                    with torch.no_grad():
                        buffer.copy_(kept)


def _same(one: Tensor, other: Tensor) -> bool:
    """Equal, NaN being equal to NaN."""
    return one.device.type == "meta" or bool(((one == other) | ((one != one) & (other != other))).all())


def module_at(module: nn.Module | None, path: str, name: str) -> nn.Module:
    """The module of this path. Raises ModelError with the nearest paths, or where there are no modules."""
    known = {} if module is None else {found: part for found, part in module.named_modules() if found}
    if path in known:
        return known[path]
    if not known:
        raise ModelError(f"{name} has no modules inside, so none is called {path!r}.", next="leave the layer out")
    raise ModelError(f"{name}: no layer is called {path!r}.", next=f"try {nearest(path, known)}")


def first_tensor(outputs: Any) -> Tensor | None:
    """The tensor that holds the answer: `.logits` where there are some, else the first one of real numbers."""
    if isinstance(outputs, Tensor):
        return outputs
    if isinstance(getattr(outputs, "logits", None), Tensor):
        return outputs.logits
    entries = outputs.values() if isinstance(outputs, Mapping) else outputs
    if isinstance(outputs, Mapping | tuple | list):
        for entry in entries:
            found = first_tensor(entry)
            # A loss that comes along has no examples, so it is no answer.
            if found is not None and found.is_floating_point() and found.dim():
                return found
    return None


@contextlib.contextmanager
def tapped(places: Mapping[str, nn.Module], *, cloned: bool = False) -> Iterator[dict[str, Tensor]]:
    """The outputs of modules, by path, filled in as they run; of one that runs twice, the last.

    `cloned` hands the net a copy, so that an in-place layer after it cannot change what was caught.
    """
    caught: dict[str, Tensor] = {}

    def listener(path: str) -> Callable[[nn.Module, Any, Any], Any]:
        def listen(module: nn.Module, inputs: Any, output: Any) -> Any:
            found = first_tensor(output)
            if found is None:
                return None
            caught.pop(path, None)
            caught[path] = found
            return found.clone() if cloned and isinstance(output, Tensor) else None

        return listen

    handles = [module.register_forward_hook(listener(path)) for path, module in places.items()]
    try:
        yield caught
    finally:
        for handle in handles:
            handle.remove()
