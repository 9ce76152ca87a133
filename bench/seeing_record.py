"""What recording a step costs beside taking it: ResNet-18 (batch 8, 64×64) and a 4-layer GPT, paired.

    python bench/seeing_record.py [ROUNDS]        # writes bench/results/seeing_record.json

A step is forward, loss and backward. The record keeps every value and every gradient; TorchLens, where it is
installed, traces the forward pass alone. Each round takes the three in turn.
"""

from __future__ import annotations

import importlib
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import GPT2Config, GPT2LMHeadModel, ResNetConfig, ResNetForImageClassification

from deepglass.tracing.record import record as record_step
from recording import record


class Scored(nn.Module):
    """A network of `transformers` that gives its scores alone."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, inputs: Tensor) -> Tensor:
        return self.body(inputs).logits


def resnet() -> tuple[nn.Module, Tensor, Callable[[Tensor], Tensor]]:
    """ResNet-18 (He et al. 2015), 11.7 million weights."""
    settings = {"depths": [2, 2, 2, 2], "hidden_sizes": [64, 128, 256, 512], "layer_type": "basic", "num_labels": 1000}
    config = ResNetConfig(**settings)
    target = torch.arange(8)
    return Scored(ResNetForImageClassification(config)), torch.randn(8, 3, 64, 64), (
        lambda scores: functional.cross_entropy(scores, target))  # fmt: skip


def gpt() -> tuple[nn.Module, Tensor, Callable[[Tensor], Tensor]]:
    """Four layers, 256 wide, 128 tokens, batch 8."""
    config = GPT2Config(
        vocab_size=1024,
        bos_token_id=0,
        eos_token_id=0,
        n_positions=128,
        n_embd=256,
        n_layer=4,
        n_head=4,
        use_cache=False,
    )
    words = torch.randint(1024, (8, 128))
    return Scored(GPT2LMHeadModel(config)), words, (
        lambda scores: functional.cross_entropy(scores[:, :-1].flatten(0, 1), words[:, 1:].flatten()))  # fmt: skip


def plain(module: nn.Module, inputs: Tensor, loss: Callable[[Tensor], Tensor]) -> None:
    """The step itself."""
    module.zero_grad(set_to_none=True)
    loss(module(inputs)).backward()


def recorded(module: nn.Module, inputs: Tensor, loss: Callable[[Tensor], Tensor]) -> None:
    """The step, with every value and gradient kept."""
    graph = record_step(module, inputs, loss=loss)
    if graph.failure:
        raise RuntimeError(graph.failure)


def torchlens() -> Callable[..., None] | None:
    """TorchLens on the same forward pass, all activations kept; None where it is not installed."""
    try:
        lens: Any = importlib.import_module("torchlens")
    except ImportError:
        return None

    def logged(module: nn.Module, inputs: Tensor, loss: Callable[[Tensor], Tensor]) -> None:
        lens.trace(module, inputs)

    return logged


def seconds(step: Callable[..., None], *args: Any) -> float:
    """One run by the clock."""
    begun = time.perf_counter()
    step(*args)
    return time.perf_counter() - begun


def measured(make: Callable[[], Any], rounds: int) -> dict[str, Any]:
    """Medians over rounds of the steps taken in turn, and each as a multiple of the plain one, round by round."""
    torch.manual_seed(0)
    net = make()
    lens = torchlens()
    steps = {"plain": plain, "recorded": recorded} | ({"torchlens forward": lens} if lens else {})
    for step in steps.values():
        step(*net)
    taken = [{name: seconds(step, *net) for name, step in steps.items()} for _ in range(rounds)]
    figures: dict[str, Any] = {f"{name} ms": 1e3 * statistics.median(t[name] for t in taken) for name in steps}
    for name in list(steps)[1:]:
        figures[f"{name} / plain"] = statistics.median(t[name] / t["plain"] for t in taken)
    graph = record_step(*net[:2], loss=net[2])
    return figures | {"operations": len(graph.operations), "parameters": graph.parameters, "rounds": rounds,
                      "kept MB": graph.kept_bytes / 1e6, "threads": torch.get_num_threads()}  # fmt: skip


def main() -> None:
    """Measure both networks and write the figures."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    figures = {name: measured(make, rounds) for name, make in (("ResNet-18", resnet), ("GPT", gpt))}
    for name, found in figures.items():
        print(name, {key: round(value, 2) for key, value in found.items()})
    record("seeing_record", figures)


if __name__ == "__main__":
    main()
