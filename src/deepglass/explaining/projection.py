"""Hidden layers laid out in a plane (V8): what a net holds to be alike lies close, layer by layer.

Principal components: with X the centered answers of a layer and X = U S Vᵀ, an example's place is its row of U S, first
two columns; they keep (s₁² + s₂²) / Σ s² of the spread (Pearson 1901). t-SNE keeps neighbors, not distances (van der
Maaten & Hinton 2008).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from matplotlib.figure import Figure
from sklearn.manifold import TSNE
from torch import Tensor

from deepglass.drawing.vector import MUTED, legible, paint
from deepglass.errors import ModelError
from deepglass.explaining.attributing import every_row, everywhere
from deepglass.explaining.given import BUDGET, Inputs, blend_of
from deepglass.explaining.groups import Groups, groups_of
from deepglass.explaining.unharmed import module_at, opened, tapped, unharmed

MOST_POINTS = 2000
MOST_LAYERS = 6
MOST_WIDTH = 4096


@dataclass(frozen=True)
class Projection:
    """Each layer's examples in two dimensions: `points[path]` [m, 2].

    kept   the share of the layer's spread that the two dimensions hold (principal components; NaN for t-SNE)
    """

    points: dict[str, Tensor] = field(repr=False)
    kept: dict[str, float]
    method: str
    groups: Groups | None = field(default=None, repr=False)

    def svg(self, *, name: str = "projection") -> str:
        """A scatter a layer, colored by class, each class named at its middle."""
        across = min(3, len(self.points))
        down = -(-len(self.points) // across)

        def draw(figure: Figure) -> None:
            panels = figure.subplots(down, across, squeeze=False).reshape(-1)
            for axes, (path, points) in zip(panels, self.points.items(), strict=False):
                share = f", {self.kept[path]:.0%} of the spread" if self.kept[path] == self.kept[path] else ""
                axes.set_title(legible(path, 22) + share, fontsize=9.5)
                axes.set(xticks=[], yticks=[])
                axes.set_aspect("equal", adjustable="datalim")
                axes.spines["bottom"].set_visible(False)
                axes.grid(visible=False)
                axes.margins(0.08)
                if self.groups is None:
                    axes.scatter(*points.T.numpy(), s=7, color=MUTED, linewidths=0, alpha=0.7)
                else:
                    self.groups.scatter(axes, points.numpy())
            for axes in panels[len(self.points) :]:
                axes.set_axis_off()

        about = f"{self.method} of {len(self.points)} layers: {', '.join(self.points)}."
        size = (216.0 * across + 10, 206.0 * down)
        drawn = paint(draw, name=name, title=f"Hidden layers by {self.method}", description=about, size=size)
        return drawn if self.groups is None else self.groups.themed(drawn)

    def _repr_html_(self) -> str:
        return f'<div class="deepglass">{self.svg()}</div>'


def project(thing: Any, inputs: Inputs, layers: Sequence[str] | None = None, *, labels: Any = None,
            names: Sequence[str] = (), method: Literal["pca", "t-SNE"] = "pca",
            budget: int = BUDGET) -> Projection:  # fmt: skip
    """What layers make of the examples, in two dimensions.

    layers   paths; by default six spread over the depth, the answer among them
    labels   a class an example, for the colors;  names   what the classes are called
    Of more than 2,000 examples the first 2,000 are shown; of a layer wider than 4,096, as many random directions of it
    (Johnson & Lindenstrauss 1984). Raises ModelError for a layer that is not there, or a single example.

    >>> found = project(torch.nn.Sequential(torch.nn.Linear(3, 5)), torch.randn(20, 3))
    >>> found.points["0"].shape, list(found.kept)
    (torch.Size([20, 2]), ['0'])
    """
    if method not in ("pca", "t-SNE"):
        raise ModelError(f"method: no {method!r}.", next="take 'pca' or 't-SNE'")
    hidden = answers_of(thing, inputs, layers, budget=budget, count=MOST_POINTS)
    count = len(next(iter(hidden.values())))
    if count < 3:
        raise ModelError(f"{count} examples lie in a plane whatever the net does.", next="give more examples")
    groups = None if labels is None else groups_of(labels, names, count)
    points, kept = {}, {}
    for path, answers in hidden.items():
        points[path], kept[path] = principal(answers)
        if method == "t-SNE":
            points[path], kept[path] = _neighbors(answers), float("nan")
    return Projection(points, kept, "principal components" if method == "pca" else "t-SNE", groups)


def principal(rows: Tensor) -> tuple[Tensor, float]:
    """Rows [m, width] on their first two principal axes [m, 2], and the share of the spread those hold.

    The sign of an axis is such that its largest place is positive. Found from the eigenvectors of X Xᵀ or Xᵀ X,
    whichever is smaller.
    """
    centered = rows.double() - rows.double().mean(0)
    wide = centered.shape[1] > len(centered)
    squares, vectors = torch.linalg.eigh(centered @ centered.T if wide else centered.T @ centered)
    squares, vectors = squares.flip(0).clamp_min(0), vectors.flip(1)[:, :2]
    places = vectors * squares[:2].sqrt() if wide else centered @ vectors
    if places.shape[1] < 2:
        places = torch.cat([places, torch.zeros(len(rows), 1, dtype=places.dtype)], 1)
    largest = places.gather(0, places.abs().argmax(0, keepdim=True))
    whole = float(squares.sum())
    kept = float(squares[:2].sum()) / whole if whole else 1.0
    return (places * torch.where(largest < 0, -1.0, 1.0)).float(), kept


def _neighbors(rows: Tensor) -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        perplexity = min(30.0, (len(rows) - 1) / 3)
        found = TSNE(2, perplexity=perplexity, init="pca", random_state=0).fit_transform(rows.double().numpy())
    return torch.from_numpy(np.ascontiguousarray(found)).float()


def answers_of(
    thing: Any, inputs: Inputs, layers: Sequence[str] | None, *, budget: int = BUDGET, count: int = MOST_POINTS
) -> dict[str, Tensor]:
    """What layers answer to the examples, as rows [m, width] on the CPU, in the order they ran."""
    _, module, name = opened(thing)
    with unharmed(module):
        blend, _, _ = blend_of(thing, inputs, budget=budget)
        named = {path: part for path, part in module.named_modules() if path} if module is not None else {}
        if not named and layers is None:
            raise ModelError(f"{name} has no layers inside.", next="give a torch module")
        wanted = {path: module_at(module, path, name) for path in layers} if layers is not None else named
        found: dict[str, list[Tensor]] = {}
        with tapped(wanted, cloned=True) as caught:
            for one in blend.passes(every_row(blend)[:count], everywhere(blend, 1.0)):
                rows = {path: answer for path, answer in caught.items() if len(answer) == len(one.rows)}
                for path in _spread_over(rows, named) if layers is None else rows:
                    found.setdefault(path, []).append(_flat(rows[path]))
                caught.clear()
    missing = [path for path in layers or () if path not in found]
    if missing:
        raise ModelError(f"{name}: layer {missing[0]!r} gave no answer an example.", next="name a layer that does")
    return {path: torch.cat(parts) for path, parts in found.items()}


def _flat(answer: Tensor) -> Tensor:
    plain = answer.detach().float().flatten(1).cpu().nan_to_num()
    if plain.shape[1] > MOST_WIDTH:
        draw = torch.Generator().manual_seed(0)
        plain = plain @ torch.randn(plain.shape[1], MOST_WIDTH // 4, generator=draw) / (MOST_WIDTH // 4) ** 0.5
    return plain


def _spread_over(rows: dict[str, Tensor], named: dict[str, Any]) -> list[str]:
    """Layers without layers inside, the shape-only and dropout ones left out, six of them spread over the depth."""
    dull = ("Dropout", "Flatten", "Identity", "Unflatten")
    leaves = [path for path in rows if not any(True for _ in named[path].children())]
    telling = [path for path in leaves if type(named[path]).__name__ not in dull] or leaves
    if len(telling) <= MOST_LAYERS:
        return telling
    return [telling[place] for place in torch.linspace(0, len(telling) - 1, MOST_LAYERS).round().long().tolist()]
