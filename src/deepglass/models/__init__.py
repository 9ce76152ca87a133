"""What can learn: one file, one family. The catalogue is the table of contents."""

from deepglass.data.schema import Schema
from deepglass.models.convolution import Convolution
from deepglass.models.family import Family
from deepglass.models.mlp import Mlp
from deepglass.models.neuron import Neuron
from deepglass.models.residual import Residual

CATALOGUE: dict[str, type[Family]] = {
    "neuron": Neuron,
    "mlp": Mlp,
    "convolution": Convolution,
    "residual": Residual,
}

__all__ = ["CATALOGUE", "family_for"]


def family_for(schema: Schema) -> str:
    """The family made for this kind of data, by its name in the catalogue.

    >>> from deepglass.data.schema import Input, Target
    >>> family_for(Schema("picture", (Input("picture", "pixels", (3, 32, 32)),), Target("animal", "multiclass")))
    'convolution'
    """
    return "convolution" if schema.kind == "picture" else "mlp"
