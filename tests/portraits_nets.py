"""The example networks by name, each with what it is run on; their records, and the shapes of their pictures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

import networks
from deepglass.drawing.scene import Group, Shape
from deepglass.tracing.graph import Graph
from deepglass.tracing.record import record

NETS: dict[str, tuple[nn.Module, tuple[Tensor, ...]]] = {
    name: (getattr(networks, name), given) for name, given in networks.inputs.items()
}


def recorded(name: str) -> Graph:
    net, inputs = NETS[name]
    return record(net.eval(), *inputs)


def flat(shapes: tuple[Shape, ...]) -> Iterator[Any]:
    for shape in shapes:
        if isinstance(shape, Group):
            yield from flat(shape.shapes)
        else:
            yield shape
