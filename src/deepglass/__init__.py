"""Deep learning you can see through: train a network on your data with one command, judge it honestly, look inside.

    import deepglass as dg

    run = dg.train("titanic.csv", target="Survived")
    run.metrics, run.path, run.predict(rows)
    run = dg.load(run.path)

    dg.draw(module, x)              what it is made of: layers, neurons, the graph of operations, a table
    dg.record(module, x, loss=f)    every operation with its values and gradients
    dg.probe, dg.attribute          what flows at named places; which inputs mattered
    dg.diagnose(run)                what is wrong, where, why, and what cures it

The names below are loaded on first use, so `import deepglass` and `deepglass --help` do not wait for torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepglass.data.schema import Data
    from deepglass.data.sources import read
    from deepglass.diagnosing.diagnose import diagnose
    from deepglass.drawing.draw import draw
    from deepglass.errors import DeepglassError
    from deepglass.experiment import train
    from deepglass.explaining.attribution import attribute
    from deepglass.explaining.probe import probe
    from deepglass.tracing.record import record
    from deepglass.training.recipe import Recipe
    from deepglass.training.run import Run, load

__version__ = "0.1.0"

# Every public name and the file it lives in: the whole surface, at most twelve.
PUBLIC = {
    "train": "deepglass.experiment",
    "load": "deepglass.training.run",
    "read": "deepglass.data.sources",
    "Data": "deepglass.data.schema",
    "Recipe": "deepglass.training.recipe",
    "Run": "deepglass.training.run",
    "DeepglassError": "deepglass.errors",
    "record": "deepglass.tracing.record",
    "draw": "deepglass.drawing.draw",
    "probe": "deepglass.explaining.probe",
    "attribute": "deepglass.explaining.attribution",
    "diagnose": "deepglass.diagnosing.diagnose",
}

__all__ = [
    "Data", "DeepglassError", "Recipe", "Run",
    "attribute", "diagnose", "draw", "load", "probe", "read", "record", "train",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """The public name, loaded now and kept. Raises AttributeError for any other, as a module does."""
    if name not in PUBLIC:
        raise AttributeError(f"module 'deepglass' has no attribute {name!r}")
    found = getattr(importlib.import_module(PUBLIC[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *PUBLIC})
