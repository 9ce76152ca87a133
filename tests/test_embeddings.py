"""How numbers and categories enter a network: against interpolation, waves and one-hot codes by hand."""

import math

import numpy as np
import pytest
import torch
from sklearn.datasets import load_diabetes
from sklearn.isotonic import IsotonicRegression
from torch import nn
from torch.nn import functional

from deepglass.models import embeddings
from deepglass.models.embeddings import Indicators, Lookups, Periodic, PiecewiseLinear
from deepglass.models.mlp import Mlp
from schemas import table


def test_piecewise_encoding_is_linear_interpolation() -> None:
    edges = (-1.5, -0.25, 0.5, 2.0)
    torch.manual_seed(0)
    layer = PiecewiseLinear((edges,), 5).double()
    nn.init.normal_(layer.weight)
    with torch.no_grad():
        layer.linear.zero_()
        layer.bias.zero_()
    x = np.linspace(-1.5, 2.0, 101)
    found = layer(torch.tensor(x[:, None])).detach().numpy()
    heights = np.concatenate([np.zeros((1, 5)), np.cumsum(layer.weight[0].detach().numpy(), axis=0)])
    expected = np.stack([np.interp(x, edges, heights[:, k]) for k in range(5)], axis=1)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_wild_value_goes_no_further_than_one_bin() -> None:
    layer = PiecewiseLinear(((0.0, 1.0, 3.0),), 2)
    places = layer.encode(torch.tensor([[-0.5], [-1e9], [5.0], [1e9]]))[:, 0]
    torch.testing.assert_close(places, torch.tensor([[-0.5, 0.0], [-1.0, 0.0], [1.0, 2.0], [1.0, 2.0]]))


def test_narrow_bins_far_from_zero_are_not_lost_to_rounding() -> None:
    low = 3.0
    high = low + 2.0**-20
    layer = PiecewiseLinear(((low, high),), 1)
    middle = torch.tensor([[low + 2.0**-21]])
    torch.testing.assert_close(layer.encode(middle), torch.tensor([[[0.5]]]))


def test_a_piecewise_embedding_fits_a_curve_that_a_line_cannot() -> None:
    """Against isotonic regression, the best monotone fit there is, on a real column."""
    x, y = map(np.asarray, load_diabetes(return_X_y=True))
    x, y = (x[:, 2] - x[:, 2].mean()) / x[:, 2].std(), (y - np.mean(y)) / np.std(y)
    edges = tuple(np.unique(np.quantile(x, np.linspace(0, 1, 9))).tolist())
    torch.manual_seed(0)
    layer = PiecewiseLinear((edges,), 1)
    inputs, target = torch.tensor(x[:, None], dtype=torch.float32), torch.tensor(y[:, None], dtype=torch.float32)
    optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = functional.mse_loss(layer(inputs), target)
        loss.backward()
        return loss

    error = optimizer.step(closure).item() and closure().item()
    line = np.mean((y - np.polyval(np.polyfit(x, y, 1), x)) ** 2)
    monotone = np.mean((y - IsotonicRegression().fit(x, y).predict(x)) ** 2)
    assert monotone < error < line


def test_periodic_features_are_waves() -> None:
    torch.manual_seed(0)
    layer = Periodic(2, 3).double()
    x = torch.randn(7, 2, dtype=torch.float64)
    turns = torch.exp(2j * math.pi * layer.frequencies * x[..., None])
    waves = torch.cat([turns.real, turns.imag], dim=2)
    torch.testing.assert_close(layer(x), functional.relu(layer.mix(waves)).flatten(1))


def test_small_categories_are_one_hot_and_large_ones_looked_up() -> None:
    sizes = (3, 40, 10)
    layer = Lookups(sizes)
    codes = torch.tensor([[1, 7, 9], [0, 0, 0], [2, 39, 4]])
    found = layer(codes)
    hot = torch.cat([functional.one_hot(codes[:, 0], 3)[:, 1:], functional.one_hot(codes[:, 2], 10)[:, 1:]], dim=1)
    torch.testing.assert_close(found[:, :11], hot.float())
    torch.testing.assert_close(found[:, 11:], layer.tables[0](codes[:, 1]))
    assert not found[1].any(), "what was never seen says nothing"
    everywhere = Indicators(sizes)(codes)
    torch.testing.assert_close(
        everywhere, torch.cat([functional.one_hot(codes[:, i], s)[:, 1:] for i, s in enumerate(sizes)], dim=1).float()
    )


@pytest.mark.parametrize("columns", [0, 1, 300, 501, 10_000])
def test_wide_tables_stay_within_bounds(columns: int) -> None:
    schema = table(columns, edges=columns <= 500, sizes=(3,))
    model = Mlp.from_schema(schema)
    most = 256 * (embeddings.MOST_CELLS if columns <= 500 else columns + 2)
    assert sum(weight.numel() for weight in model.parameters()) < 2 * most + 500_000
    inputs = (torch.randn(4, columns), torch.zeros(4, 1, dtype=torch.long))
    assert model.eval()(*inputs).shape == (4, 1)
    reading = model.features.readings[0]
    assert isinstance(reading, PiecewiseLinear) == (0 < columns <= 500)
