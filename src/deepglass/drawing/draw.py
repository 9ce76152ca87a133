"""`draw(thing)`: a network as a picture, in one of four views, on the screen or in a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from deepglass.drawing.guessing import record_guessed
from deepglass.drawing.layers import layers_scene
from deepglass.drawing.nodes import nodes_scene
from deepglass.drawing.operations import graph_scene
from deepglass.drawing.png import as_png
from deepglass.drawing.scene import Scene
from deepglass.drawing.summary import summarize, summary_scene
from deepglass.drawing.svg import as_html, as_page, as_svg
from deepglass.drawing.written import as_text
from deepglass.drawing.zooming import zoomed
from deepglass.errors import ModelError, StorageError, nearest
from deepglass.tracing.graph import Graph
from deepglass.tracing.record import record

FEW_OPERATIONS = 12
EXAMPLES = 2


@dataclass(frozen=True)
class Wish:
    """What was asked of a view."""

    values: bool | None = None
    step: int | None = None
    at: str | None = None
    width: int | None = None


@dataclass(frozen=True)
class Drawing:
    """A picture. In a notebook it shows itself; `print` gives it in words; `save` puts it into a file."""

    scene: Scene = field(repr=False)
    view: str

    @property
    def svg(self) -> str:
        """A file of its own, for light and for dark pages."""
        return as_svg(self.scene)

    @property
    def text(self) -> str:
        """The picture in words."""
        return as_text(self.scene)

    def save(self, path: str | Path) -> Path:
        """Write it as .svg, .png, .html or .txt. Raises ModelError for another ending, StorageError where it cannot."""
        file = Path(path).expanduser()
        write = _writer(file)
        try:
            write(self.scene, file)
        except OSError as error:
            raise StorageError(
                f"{file}: the picture cannot be written ({error.strerror or error}).",
                next="choose a folder that is there and may be written to",
            ) from None
        return file

    def __str__(self) -> str:
        return self.text

    def _repr_svg_(self) -> str:
        return self.svg

    def _repr_html_(self) -> str:
        return as_html(self.scene)


def draw(
    thing: Any,
    *inputs: Any,
    view: str = "layers",
    out: str | Path | None = None,
    values: bool | None = None,
    step: int | None = None,
    at: str | None = None,
    width: int | None = None,
    loss: Callable[[Any], Tensor] | None = None,
    options: dict[str, Any] | None = None,
) -> Drawing:
    """Draw a network.

    thing    a torch module or a function, with its inputs; a `Graph`; or anything with a `.model`, as a run is.
             Without inputs they are guessed from a module's first layer, and the picture says so
    view     "layers": volumes and bars, as papers draw them;  "nodes": neurons and synapses;
             "graph": operations and values;  "summary": a table of shapes, parameters and work
    out      a file to write: .svg, .png, .html or .txt
    values   graph: numbers forward and gradients backward (by default in small graphs, and with `step`)
    step     graph: one operation of the walk forward and backward, from 1, marked and read aloud
    at       the path of a module: that one alone;  width  of the page in pixels, where a view can break lines
    loss, options   as of `record`

    Raises ModelError for what cannot be drawn so, StorageError for a file that cannot be written.

    >>> net = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    >>> print(draw(net, view="graph").scene.lines[0])
    input    2 × 2    = 1.54  −0.29; −2.18  0.57
    """
    if view not in VIEWS:
        raise ModelError(f"no view is called {view!r}.", next=f"try {nearest(view, VIEWS)}")
    if step is not None and view != "graph":
        raise ModelError(f"the view {view!r} has no steps.", next=f'ask the graph: view="graph", step={step}')
    if out is not None:
        _writer(Path(out))
    drawing = Drawing(VIEWS[view](_recorded(thing, inputs, loss, options), Wish(values, step, at, width)), view)
    if out is not None:
        drawing.save(out)
    return drawing


def _recorded(thing: Any, inputs: tuple[Any, ...], loss: Any, options: dict[str, Any] | None) -> Graph:
    """The record of whatever was handed over."""
    if isinstance(thing, Graph):
        return thing
    if not isinstance(thing, nn.Module) and isinstance(getattr(thing, "model", None), nn.Module):
        if not inputs and options is None and hasattr(thing, "batch"):
            inputs = tuple(thing.batch(count=EXAMPLES).inputs)
        thing = thing.model
    if isinstance(thing, nn.Module) and not inputs and options is None:
        return record_guessed(thing, loss)
    return record(thing, *inputs, loss=loss, options=options)


def _noted(scene: Scene, graph: Graph) -> Scene:
    """The record's notes after the picture in words, where the view has not said them."""
    said = "\n".join(scene.lines)
    return replace(scene, lines=(*scene.lines, *(note for note in graph.notes if note not in said)))


def _layers(graph: Graph, wish: Wish) -> Scene:
    part = zoomed(graph, wish.at) if wish.at else graph
    return _noted(layers_scene(part, width=wish.width) if wish.width else layers_scene(part), graph)


def _nodes(graph: Graph, wish: Wish) -> Scene:
    return _noted(nodes_scene(graph, at=wish.at), graph)


def _graph(graph: Graph, wish: Wish) -> Scene:
    small = len(graph.operations) <= FEW_OPERATIONS or wish.step is not None
    return graph_scene(graph, values=small if wish.values is None else wish.values, step=wish.step, at=wish.at)


def _summary(graph: Graph, wish: Wish) -> Scene:
    return _noted(summary_scene(summarize(zoomed(graph, wish.at) if wish.at else graph)), graph)


VIEWS: dict[str, Callable[[Graph, Wish], Scene]] = {
    "layers": _layers,
    "nodes": _nodes,
    "graph": _graph,
    "summary": _summary,
}


def _write_text(text: str, file: Path) -> None:
    file.write_text(text, encoding="utf-8", newline="\n")


WRITERS: dict[str, Callable[[Scene, Path], Any]] = {
    ".svg": lambda scene, file: _write_text(as_svg(scene), file),
    ".png": as_png,
    ".html": lambda scene, file: _write_text(as_page(scene), file),
    ".txt": lambda scene, file: _write_text(as_text(scene) + "\n", file),
}


def _writer(file: Path) -> Callable[[Scene, Path], Any]:
    """How a file of this ending is written; refused before anything is computed, where it is not known."""
    ending = file.suffix.casefold()
    if ending not in WRITERS:
        found = f"it ends in {ending!r}" if ending else "it has no ending"
        raise ModelError(f"{file}: not a picture that can be written: {found}.",
                         next=f"name it with one of {', '.join(WRITERS)}")  # fmt: skip
    return WRITERS[ending]
