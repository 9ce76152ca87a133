"""Batches on the device: the whole set in memory, shuffled anew each epoch, augmented where it lies.

The order of an epoch depends on (seed, epoch) alone and the augmentation of a step on (seed, epoch, step) alone: a run
taken up in the middle of an epoch sees exactly the examples, and the pictures of them, that it would have seen.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from deepglass.data.augment import augment, mix_examples
from deepglass.data.schema import Batch, Data, Input, Part, Schema

FLOAT_BYTES_KEPT = 2**30
"""Pictures are turned to floats once, ahead of training, when that takes at most this many bytes."""


@dataclass(frozen=True)
class Variation:
    """How training pictures are varied: names of augmentations, and the alpha of mix-up and CutMix (0: off)."""

    augment: tuple[str, ...] = ()
    mixup: float = 0.0
    cutmix: float = 0.0

    @property
    def mixes(self) -> bool:
        """Whether targets become shares of classes."""
        return self.mixup > 0 or self.cutmix > 0


class Batches:
    """The training part on a device, drawn in shuffled batches.

    A last batch of a single example is joined to the one before it, because batch statistics need two.

    >>> from deepglass.data.sources import read
    >>> from deepglass.data.schema import Wishes
    >>> batches = Batches(read("iris", Wishes()), batch_size=32, device=torch.device("cpu"), seed=0)
    >>> sum(len(batch) for batch in batches.epoch(0)) == len(batches)
    True
    """

    def __init__(self, data: Data, *, batch_size: int, device: torch.device, seed: int,
                 variation: Variation | None = None) -> None:  # fmt: skip
        self.schema, self.device, self.seed = data.schema, device, seed
        self.variation = variation or Variation()
        self.batch_size = max(1, min(batch_size, len(data.train)))
        part = data.train
        self.late = bool(self.variation.augment) or not _small(part)
        inputs = part.inputs if self.late else present(part.inputs, data.schema)
        self.inputs = tuple(tensor.to(device) for tensor in inputs)
        self.target, self.rows = part.target.to(device), part.rows
        self.generator = torch.Generator(device)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def bounds(self) -> list[tuple[int, int]]:
        """Where each batch of an epoch begins and ends in the shuffled order."""
        edges = [*range(0, len(self), self.batch_size), len(self)]
        if len(edges) > 2 and edges[-1] - edges[-2] == 1:
            del edges[-2]
        return list(itertools.pairwise(edges))

    @property
    def steps(self) -> int:
        """Batches in an epoch."""
        return len(self.bounds)

    @cached_property
    def fingerprint(self) -> int:
        """A checksum of everything that is learned from: other data, or another split of them, give another."""
        mark = 0
        for tensor in (self.rows, self.target, *self.inputs):
            mark = zlib.crc32(tensor.cpu().contiguous().numpy().tobytes(), mark)
        return mark

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch in its own order, from batch `start` on."""
        order = torch.randperm(len(self), generator=torch.Generator().manual_seed(_mixed(self.seed, epoch)))
        placed = order.to(self.device)
        for step, (low, high) in enumerate(self.bounds[start:], start):
            index = placed[low:high]
            inputs = tuple(tensor.index_select(0, index) for tensor in self.inputs)
            batch = Batch(inputs, self.target.index_select(0, index), order[low:high])
            yield self._varied(batch, epoch, step) if self.late or self.variation.mixes else batch

    def _varied(self, batch: Batch, epoch: int, step: int) -> Batch:
        self.generator.manual_seed(_mixed(self.seed, epoch, step + 1))
        inputs, target = batch.inputs, batch.target
        if self.variation.augment:
            inputs = (augment(inputs[0], self.variation.augment, self.generator), *inputs[1:])
        if self.late:
            inputs = present(inputs, self.schema)
        if self.variation.mixes:
            classes = max(2, len(self.schema.target.classes))
            shares = torch.nn.functional.one_hot(target, classes).float()
            pictures, target = mix_examples(inputs[0], shares, mixup=self.variation.mixup,
                                            cutmix=self.variation.cutmix, generator=self.generator)  # fmt: skip
            inputs = (pictures, *inputs[1:])
        return Batch(inputs, target, batch.rows)


def in_order(part: Part, schema: Schema, device: torch.device, batch_size: int = 1024) -> Iterator[Batch]:
    """A part as it lies, unvaried, in large batches: for judging and predicting."""
    for low in range(0, len(part), batch_size):
        chosen = slice(low, low + batch_size)
        inputs = present(tuple(tensor[chosen].to(device) for tensor in part.inputs), schema)
        yield Batch(inputs, part.target[chosen].to(device), part.rows[chosen])


def present(inputs: tuple[Tensor, ...], schema: Schema) -> tuple[Tensor, ...]:
    """Inputs as the model is given them: pixels become (value/255 - mean) / std; the others stay as they are."""
    return tuple(_normalized(tensor, entry) for tensor, entry in zip(inputs, schema.inputs, strict=True))


def _normalized(tensor: Tensor, entry: Input) -> Tensor:
    if entry.kind != "pixels" or not entry.mean:
        return tensor
    full = 255.0 if tensor.dtype == torch.uint8 else 1.0
    scale = tensor.new_tensor([1 / (full * std) for std in entry.std], dtype=torch.float32)
    shift = tensor.new_tensor([-mean / std for mean, std in zip(entry.mean, entry.std, strict=True)],
                              dtype=torch.float32)  # fmt: skip
    return torch.addcmul(shift.view(-1, 1, 1), tensor.float(), scale.view(-1, 1, 1))


def stand_ins(schema: Schema, count: int) -> tuple[Tensor, ...]:
    """Inputs of the right kinds and shapes, as a model is given them, made up where the data are not at hand.

    Numbers and normalized pixels are drawn from N(0, 1), codes evenly from those there are; always the same ones.
    """
    generator = torch.Generator().manual_seed(0)

    def drawn(entry: Input) -> Tensor:
        if entry.kind != "codes":
            return torch.randn(count, *entry.shape, generator=generator)
        sizes = torch.tensor(entry.sizes or (1,) * entry.shape[0])
        return (torch.rand(count, *entry.shape, generator=generator) * sizes).long()

    return tuple(drawn(entry) for entry in schema.inputs)


def _small(part: Part) -> bool:
    return sum(4 * tensor.numel() for tensor in part.inputs if tensor.dtype == torch.uint8) <= FLOAT_BYTES_KEPT


def _mixed(*numbers: int) -> int:
    """One seed from several numbers, well spread (the finalizer of SplitMix64, Steele et al. 2014)."""
    state = 0
    for number in numbers:
        state = (state + number + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
        state ^= state >> 31
    return state >> 1
