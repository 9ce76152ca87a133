"""Save and resume so that the next loss is the same bit.

A checkpoint is a folder with one tensor file and one `state.json` that names it. The tensor file is written in full and
flushed before `state.json` is replaced in one move, so a process killed at any moment leaves the old state or the new.
Nothing in it is a pickle: any tree of dicts, lists, numbers and tensors becomes JSON with the tensors set aside.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from deepglass.errors import RunError, StorageError
from deepglass.plain import finite

STATE = "state.json"


@contextlib.contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Write a file whole or not at all: the block writes to a neighbor, which then takes the file's place.

    Raises StorageError when the disk is full or the folder cannot be written; nothing half written stays.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield beside
            _flush(beside)
            beside.replace(path)
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)


@contextlib.contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn the system's refusals to write into a StorageError that names the place and the reason."""
    try:
        yield
    except OSError as error:
        facts = {
            errno.ENOSPC: "the disk is full",
            errno.EDQUOT: "the disk quota is used up",
            errno.EROFS: "the file system is read-only",
            errno.EACCES: "no permission to write here",
            errno.EPERM: "no permission to write here",
            errno.ENOTDIR: "a file stands where a folder is wanted",
        }.get(error.errno or 0, error.strerror or str(error))
        raise StorageError(f"{path}: {facts}.") from None


def write_text(path: Path, text: str) -> None:
    """A text file, whole or not at all."""
    with writing(path) as beside:
        beside.write_text(text, encoding="utf-8")


def write_json(path: Path, plain: Any) -> None:
    """A JSON file, whole or not at all; NaN and infinity, which JSON lacks, become null."""
    write_text(path, json.dumps(finite(plain), indent=1, ensure_ascii=False) + "\n")


def write_weights(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Tensors by name as safetensors, whole or not at all."""
    # Tied weights share memory, which the format refuses: each name gets its own copy.
    apart = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in weights.items()}
    # As bytes, and not by save_file: it makes files that only their owner may read.
    with writing(path) as beside:
        beside.write_bytes(save(apart))


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors that `write_weights` wrote. Raises RunError when the file is missing or damaged."""
    try:
        return load_file(path)
    except FileNotFoundError:
        raise RunError(f"{path}: no weights here.") from None
    except (SafetensorError, OSError) as error:
        raise RunError(f"{path}: the weights cannot be read: {error}.", next="train again, or --resume") from None


def snapshot(model: nn.Module) -> dict[str, Tensor]:
    """The weights and buffers of a model as they are now, copied."""
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def save_checkpoint(folder: Path, tree: dict[str, Any]) -> None:
    """Write a tree of plain values and tensors; the former checkpoint stays until this one is whole."""
    tensors: dict[str, Tensor] = {}
    skeleton = _set_aside(tree, "", tensors)
    former = _named(folder)
    number = 1 + (int(former.stem.split("-")[1]) if former else 0)
    target = folder / f"tensors-{number}.safetensors"
    write_weights(target, tensors)
    write_json(folder / STATE, {"tensors": target.name, "tree": skeleton})
    for stale in folder.glob("tensors-*.safetensors"):
        if stale != target:
            with contextlib.suppress(OSError):
                stale.unlink()


def load_checkpoint(folder: Path) -> dict[str, Any]:
    """The tree that `save_checkpoint` wrote last. Raises RunError when there is none."""
    path = _named(folder)
    if path is None:
        raise RunError(f"{folder}: no checkpoint to resume from.", next="train without --resume")
    skeleton = json.loads((folder / STATE).read_text(encoding="utf-8"))["tree"]
    return _put_back(skeleton, read_weights(path))


def random_state(device: torch.device) -> dict[str, Tensor]:
    """The state of the random generators that dropout draws from."""
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        state["mps"] = torch.mps.get_rng_state()
    return state


def restore_random_state(state: dict[str, Tensor], device: torch.device) -> None:
    """Set the generators to a saved state."""
    torch.set_rng_state(state["cpu"])
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)
    elif device.type == "mps" and "mps" in state:
        torch.mps.set_rng_state(state["mps"])


def _named(folder: Path) -> Path | None:
    try:
        name = json.loads((folder / STATE).read_text(encoding="utf-8"))["tensors"]
    except (OSError, ValueError, KeyError):
        return None
    path = folder / Path(name).name
    return path if path.exists() else None


def _set_aside(tree: Any, place: str, tensors: dict[str, Tensor]) -> Any:
    if isinstance(tree, Tensor):
        tensors[place] = tree
        return {"tensor": place}
    if isinstance(tree, dict):
        # Optimizers number their parameters: JSON knows only text as a key, so pairs keep the number a number.
        return {"pairs": [[key, _set_aside(value, f"{place}/{key}", tensors)] for key, value in tree.items()]}
    if isinstance(tree, list | tuple):
        return [_set_aside(value, f"{place}/{n}", tensors) for n, value in enumerate(tree)]
    return tree


def _put_back(tree: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(tree, dict):
        if "tensor" in tree:
            return tensors[tree["tensor"]]
        return {key: _put_back(value, tensors) for key, value in tree["pairs"]}
    if isinstance(tree, list):
        return [_put_back(value, tensors) for value in tree]
    return tree


def _flush(path: Path) -> None:
    # "r+b": Windows flushes only a file that is open for writing.
    with path.open("r+b") as file:
        os.fsync(file.fileno())
