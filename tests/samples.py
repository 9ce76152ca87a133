"""Small data sets made by a formula, for tests of what learns from them."""

from __future__ import annotations

import torch

from deepglass.data.schema import Data, Input, Part, Schema, Target


def points(count: int = 96, *, seed: int = 0, classes: int = 3) -> Data:
    """Points in four dimensions around one center a class, in three parts of 4 : 1 : 1."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.arange(count) % classes
    centers = 2 * torch.randn(classes, 4, generator=generator)
    inputs = centers[target] + 0.5 * torch.randn(count, 4, generator=generator)
    names = tuple(f"class {n}" for n in range(classes))
    schema = Schema(
        "tensor",
        (Input("features", "numbers", (4,), columns=("a", "b", "c", "d")),),
        Target("kind", "binary" if classes == 2 else "multiclass", names, counts=(count // classes,) * classes),
    )
    return parted(schema, (inputs,), target)


def line(count: int = 60, *, seed: int = 0) -> Data:
    """y = 3 x0 - 2 x1 + 1 + noise, standardized as a reader does."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(count, 2, generator=generator)
    value = 3 * inputs[:, :1] - 2 * inputs[:, 1:] + 1 + 0.1 * torch.randn(count, 1, generator=generator)
    mean, std = value.mean(), value.std()
    target = Target("y", "regression", mean=(float(mean),), std=(float(std),))
    return parted(Schema("tensor", (Input("features", "numbers", (2,)),), target), (inputs,), (value - mean) / std)


def pictures(count: int = 48, *, seed: int = 0, side: int = 8) -> Data:
    """Gray pictures of two classes: bright on the left, bright on the right."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.arange(count) % 2
    values = torch.randint(0, 90, (count, 1, side, side), generator=generator)
    for row, label in enumerate(target.tolist()):
        half = slice(0, side // 2) if label == 0 else slice(side // 2, side)
        values[row, :, :, half] += 120
    entry = Input("picture", "pixels", (1, side, side), mean=(0.4,), std=(0.25,))
    schema = Schema("picture", (entry,), Target("side", "binary", ("left", "right"), counts=(count // 2, count // 2)))
    return parted(schema, (values.to(torch.uint8),), target)


def parted(schema: Schema, inputs: tuple[torch.Tensor, ...], target: torch.Tensor) -> Data:
    """Two thirds to learn from, a sixth to choose by, a sixth to judge by."""
    whole = Part(inputs, target, torch.arange(len(target)))
    low, high = 2 * len(target) // 3, 5 * len(target) // 6
    bounds = ((0, low), (low, high), (high, len(target)))
    train, valid, test = (whole.select(torch.arange(start, stop)) for start, stop in bounds)
    return Data(schema, train, valid, test, source="sample", split="in order")
