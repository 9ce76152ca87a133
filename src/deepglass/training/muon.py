"""Muon on the hidden matrices beside another optimizer on the rest, stepping as one.

Muon (Jordan 2024) moves a matrix along the nearest orthogonal one to its momentum. It is made for hidden matrices;
embeddings, gains, biases and the first and last layers do better under AdamW.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

NORMS = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag)


class Together:
    """Several optimizers that step as one: Muon on the hidden matrices, AdamW on the rest."""

    def __init__(self, parts: dict[str, torch.optim.Optimizer], flat: Flat | None = None) -> None:
        self.parts = parts
        self._flat = flat

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The groups of all parts."""
        return [group for part in self.parts.values() for group in part.param_groups]

    def step(self) -> None:
        """One update of every part."""
        if self._flat is not None:
            self._flat.lay()
        for part in self.parts.values():
            part.step()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        for part in self.parts.values():
            part.zero_grad(set_to_none)
        if self._flat is not None:
            self._flat.zero_grad(set_to_none)

    def state_dict(self) -> dict[str, Any]:
        """The state of each part by name."""
        return {name: part.state_dict() for name, part in self.parts.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        for name, part in self.parts.items():
            part.load_state_dict(state[name])


class Flat:
    """Convolution kernels [out, in, height, width] seen as matrices [out, in·height·width] in the same memory.

    torch.optim.Muon takes matrices alone; Jordan (2024) flattens kernels so. The views are laid anew before each step,
    because gradients are, and because a model may change its memory layout.
    """

    def __init__(self, kernels: list[nn.Parameter]) -> None:
        self._kernels = kernels
        self.matrices = [nn.Parameter(_matrix(kernel, kernel).detach()) for kernel in kernels]

    def lay(self) -> None:
        """Point every matrix, and its gradient, at its kernel's."""
        for kernel, matrix in zip(self._kernels, self.matrices, strict=True):
            matrix.data = _matrix(kernel, kernel).detach()
            matrix.grad = None if kernel.grad is None else _matrix(kernel.grad, kernel)

    def zero_grad(self, set_to_none: bool) -> None:
        """Forget the gradients of the kernels themselves."""
        for kernel, matrix in zip(self._kernels, self.matrices, strict=True):
            matrix.grad = None
            if set_to_none:
                kernel.grad = None
            elif kernel.grad is not None:
                kernel.grad.zero_()


def hidden_matrices(player: nn.Module) -> list[nn.Parameter]:
    """The weights Muon is made for: matrices and convolution kernels, all but the first and the last.

    Embeddings, norms, biases and stacks of matrices are none. Source: Jordan (2024), who leaves input and output layers
    to AdamW.
    """
    found: dict[int, nn.Parameter] = {}
    for module in player.modules():
        if isinstance(module, (*NORMS, *EMBEDDINGS)):
            continue
        for name, weight in module.named_parameters(recurse=False):
            kernel = isinstance(module, _ConvNd) and weight.ndim > 2
            if "weight" in name and (weight.ndim == 2 or kernel):
                found[id(weight)] = weight
    return [weight for weight in list(found.values())[1:-1] if weight.requires_grad]


def _matrix(tensor: Tensor, like: Tensor) -> Tensor:
    """A kernel, or its gradient, as a matrix: the axes after the first in the order of the kernel's memory."""
    axes = sorted(range(1, like.ndim), key=lambda axis: -like.stride(axis))
    turned = tensor.permute(0, *axes)
    # The kernel itself must be seen in place, so a layout that would need a copy is an error and not a lost update.
    return turned.view(len(turned), -1) if tensor is like else turned.flatten(1)
