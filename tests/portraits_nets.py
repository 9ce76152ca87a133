"""The example networks by name, each with what it is run on."""

from torch import Tensor, nn

import networks

NETS: dict[str, tuple[nn.Module, tuple[Tensor, ...]]] = {
    name: (getattr(networks, name), given) for name, given in networks.inputs.items()
}
