"""What a network is given, made into one row of features: numbers embedded, codes looked up, pixels laid flat.

A number is hard for a network to cut at a point; an embedding gives each column many soft cuts to weigh. Source:
Gorishniy et al. (2022), "On Embeddings for Numerical Features in Tabular Deep Learning".
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from deepglass.data.schema import Input, Schema
from deepglass.errors import ModelError, RecipeError

EmbeddingName = Literal["none", "piecewise", "periodic"]

MOST_EMBEDDED_COLUMNS = 500  # above, a column is given as one plain number
MOST_CELLS = (
    8192  # columns x bins (or x width) an embedding may take, so that wide tables cost no more than narrow ones
)
LARGEST_ONE_HOT = 9  # a category with more values than this is looked up in a learned table


class Flat(nn.Module):
    """Laid out as they are: [m, ...] to [m, width]."""

    def __init__(self, entry: Input) -> None:
        super().__init__()
        self.width = math.prod(entry.shape)

    def forward(self, values: Tensor) -> Tensor:
        """Numbers or pixels [m, ...] to features [m, width]."""
        return values.flatten(1)


class PiecewiseLinear(nn.Module):
    """Each column of numbers as `width` learned functions of it, straight between the column's quantiles.

        f_j(x) = a_j x + c_j + Σ_t W_jt e_jt(x),   e_jt(x) = (x − b_t) / (b_{t+1} − b_t) clipped to 0 … 1

    where b are the edges of column j. The first bin is clipped below at −1 and the last above at 2: the function goes
    on straight for one bin beyond what was seen, and a wild value does no more than that. W starts at zero: training
    begins from a plain linear embedding, as in Gorishniy et al. (2025), "TabM". Columns with fewer than two edges stay
    linear.

    Numbers [m, columns] to features [m, columns * width].

    >>> PiecewiseLinear(((-1.0, 0.0, 1.0), (0.0, 1.0)), width=4)(torch.zeros(5, 2)).shape
    torch.Size([5, 8])
    """

    start: Tensor
    slope: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, edges: tuple[tuple[float, ...], ...], width: int) -> None:
        super().__init__()
        columns = len(edges)
        most = max(1, MOST_CELLS // max(columns, 1))
        bins = [thinned(edge, most + 1) for edge in edges]
        count = max([len(edge) - 1 for edge in bins] + [1])
        start, slope = torch.zeros(columns, count), torch.zeros(columns, count)
        low, high = torch.zeros(columns, count), torch.ones(columns, count)
        for column, edge in enumerate(bins):
            used = len(edge) - 1
            if used < 1:
                continue
            exact = torch.tensor(edge, dtype=torch.float64)
            start[column, :used] = exact[:-1].float()
            slope[column, :used] = (1.0 / exact.diff()).float()
            low[column, 0], high[column, used - 1] = -1.0, 2.0
        for name, value in (("start", start), ("slope", slope), ("low", low), ("high", high)):
            self.register_buffer(name, value, persistent=False)
        bound = 1.0 / math.sqrt(width)
        self.linear = nn.Parameter(torch.empty(columns, width).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(columns, width).uniform_(-bound, bound))
        self.weight = nn.Parameter(torch.zeros(columns, count, width))
        self.width = columns * width

    def encode(self, numbers: Tensor) -> Tensor:
        """Where each number stands in its column's bins: [m, columns] to [m, columns, bins]."""
        # Subtracting first is exact near an edge; scale x + shift would lose a narrow bin to rounding.
        places = (numbers.unsqueeze(2) - self.start) * self.slope
        return torch.minimum(torch.maximum(places, self.low), self.high)

    def forward(self, numbers: Tensor) -> Tensor:
        """Numbers [m, columns] to features [m, columns * width]."""
        bent = torch.bmm(self.encode(numbers).transpose(0, 1), self.weight).transpose(0, 1)
        straight = torch.addcmul(self.bias, numbers.unsqueeze(2), self.linear)
        return (straight + bent).flatten(1)


class Periodic(nn.Module):
    """Each column of numbers as `width` mixes of waves of learned frequencies, then a ReLU: "PLR(lite)".

        f(x) = ReLU(V [cos 2πcx, sin 2πcx] + d),   c ~ N(0, σ²) for each column, V and d shared by all columns

    Numbers [m, columns] to features [m, columns * width]. Source: Gorishniy et al. (2022), sections 3.2 and 3.3.

    >>> Periodic(3, width=4)(torch.zeros(5, 3)).shape
    torch.Size([5, 12])
    """

    waves = 24
    spread = 0.1

    def __init__(self, columns: int, width: int) -> None:
        super().__init__()
        waves = max(1, min(self.waves, MOST_CELLS // max(columns, 1)))
        draws = nn.init.trunc_normal_(
            torch.empty(columns, waves), std=self.spread, a=-3 * self.spread, b=3 * self.spread
        )
        self.frequencies = nn.Parameter(draws)
        self.mix = nn.Linear(2 * waves, width)
        self.width = columns * width

    def forward(self, numbers: Tensor) -> Tensor:
        """Numbers [m, columns] to features [m, columns * width]."""
        angles = 2 * math.pi * self.frequencies * numbers.unsqueeze(2)
        waves = torch.cat([torch.cos(angles), torch.sin(angles)], dim=2)
        return functional.relu(self.mix(waves)).flatten(1)


class Indicators(nn.Module):
    """Codes one-hot: a category of s values becomes s − 1 zeros and ones. Code 0, missing or never seen, is all zeros.

    Codes [m, columns] to features [m, Σ (s − 1)].

    >>> codes = Input("codes", "codes", (2,), ("color", "size"), sizes=(3, 4))
    >>> Indicators(codes.sizes)(torch.tensor([[1, 3], [0, 1]])).tolist()
    [[1.0, 0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 1.0, 0.0, 0.0]]
    """

    column: Tensor
    value: Tensor
    like: Tensor

    def __init__(self, sizes: tuple[int, ...]) -> None:
        super().__init__()
        pairs = [(column, value) for column, size in enumerate(sizes) for value in range(1, size)]
        self.register_buffer("column", torch.tensor([c for c, _ in pairs], dtype=torch.long), persistent=False)
        self.register_buffer("value", torch.tensor([v for _, v in pairs], dtype=torch.long), persistent=False)
        self.register_buffer("like", torch.ones(()), persistent=False)  # follows the network's own precision
        self.width = len(pairs)

    def forward(self, codes: Tensor) -> Tensor:
        """Codes [m, columns] to features [m, width]."""
        return (codes.index_select(1, self.column) == self.value).to(self.like.dtype)


class Lookups(nn.Module):
    """Codes of small categories one-hot, of large ones looked up in learned tables (Guo & Berkhahn 2016).

    The row of code 0 starts at zero, so a value never seen in training says nothing rather than something random.
    Codes [m, columns] to features [m, width].
    """

    small: Tensor

    def __init__(self, sizes: tuple[int, ...], most_width: int = 16) -> None:
        super().__init__()
        small = [column for column, size in enumerate(sizes) if size - 1 <= LARGEST_ONE_HOT]
        self.large = tuple(column for column in range(len(sizes)) if column not in set(small))
        self.register_buffer("small", torch.tensor(small, dtype=torch.long), persistent=False)
        self.indicators = Indicators(tuple(sizes[column] for column in small))
        widths = [min(most_width, max(4, round(math.sqrt(2 * sizes[column])))) for column in self.large]
        self.tables = nn.ModuleList(nn.Embedding(sizes[c], width) for c, width in zip(self.large, widths, strict=True))
        with torch.no_grad():
            for table, width in zip(self.tables, widths, strict=True):
                weight = table.get_parameter("weight")
                weight.normal_(std=1.0 / math.sqrt(width))
                weight[0] = 0.0
        self.width = self.indicators.width + sum(widths)

    def forward(self, codes: Tensor) -> Tensor:
        """Codes [m, columns] to features [m, width]."""
        columns = [self.indicators(codes.index_select(1, self.small))]
        columns += [table(codes[:, column]) for column, table in zip(self.large, self.tables, strict=True)]
        return torch.cat(columns, dim=1)


class Features(nn.Module):
    """All of an example's inputs as one row: `readings` has one module an input, in the schema's order.

    Inputs ([m, ...], ...) to features [m, width].
    """

    def __init__(self, readings: list[nn.Module]) -> None:
        super().__init__()
        self.readings = nn.ModuleList(readings)
        self.width = sum(int(getattr(reading, "width")) for reading in readings)  # noqa: B009

    def forward(self, *inputs: Tensor) -> Tensor:
        """One tensor an input, each with the example first, to features [m, width]."""
        if len(inputs) == 1:
            return self.readings[0](inputs[0])
        return torch.cat([reading(tensor) for reading, tensor in zip(self.readings, inputs, strict=True)], dim=1)


def features_of(
    schema: Schema, *, embedding: EmbeddingName = "none", width: int = 1, lookups: bool = False
) -> Features:
    """The first layer for any data: see the classes above for what each choice computes.

    Numbers of more than 500 columns are given plain whatever the embedding, which bounds time and memory for wide
    tables. Raises ModelError when there is nothing to learn from, or codes whose number of values is not known;
    RecipeError when an embedding is asked for that the data cannot have.
    """
    readings: list[nn.Module] = []
    for entry in schema.inputs:
        if entry.kind == "codes":
            if len(entry.sizes) != math.prod(entry.shape):
                raise ModelError(
                    f"input {entry.name!r} holds whole numbers, and how many values each may take is not known.",
                    next="give the numbers as floats, or as columns of a table",
                )
            readings.append(Lookups(entry.sizes) if lookups else Indicators(entry.sizes))
        elif entry.kind == "numbers" and embedding != "none" and 0 < math.prod(entry.shape) <= MOST_EMBEDDED_COLUMNS:
            readings.append(_embedded(entry, embedding, width))
        else:
            readings.append(Flat(entry))
    features = Features(readings)
    if features.width == 0:
        raise ModelError("the data have no columns to learn from.", next="keep at least one column beside the target")
    return features


def _embedded(entry: Input, embedding: EmbeddingName, width: int) -> nn.Module:
    if len(entry.shape) != 1 or (embedding == "piecewise" and len(entry.quantiles) != entry.shape[0]):
        raise RecipeError(
            f"embedding: {embedding!r} is for the number columns of a table, and {entry.name!r} is not that.",
            next="--set embedding=none",
        )
    columns = entry.shape[0]
    width = max(1, min(width, MOST_CELLS // columns))
    return PiecewiseLinear(entry.quantiles, width) if embedding == "piecewise" else Periodic(columns, width)


def thinned(edges: tuple[float, ...], most: int) -> tuple[float, ...]:
    """At most `most` of the edges, evenly chosen, both ends kept.

    >>> thinned((0.0, 1.0, 2.0, 3.0, 4.0), 3)
    (0.0, 2.0, 4.0)
    """
    if len(edges) <= most:
        return edges
    return tuple(edges[round(place * (len(edges) - 1) / (most - 1))] for place in range(most))
