"""Filters, maps, what excites, what would, projections and boundaries: against closed forms and scikit-learn."""

from __future__ import annotations

import io
from collections.abc import Callable
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.decomposition import PCA
from torch import Tensor, nn

from deepglass.errors import ModelError
from deepglass.explaining.boundary import boundary
from deepglass.explaining.excitation import exciting
from deepglass.explaining.filters import feature_maps, filters
from deepglass.explaining.groups import groups_of
from deepglass.explaining.imagining import imagined
from deepglass.explaining.mosaic import Mosaic, Row, Tile
from deepglass.explaining.projection import principal, project


def net_of_maps(channels: int = 1) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(channels, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 3, padding=1), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(96, 3),
    )  # fmt: skip


def pixels_of(tile: Tile) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(tile.png())))


def test_filters_show_their_weights() -> None:
    net = net_of_maps()
    found = filters(net)
    assert found.layer == "0" and torch.equal(found.weight, net.state_dict()["0.weight"])
    (row,) = found.picture.rows
    painted = pixels_of(row.tiles[0])
    weight = found.weight[0, 0].numpy()
    assert painted.shape == (3, 3, 4)
    # Blue where positive, orange where negative; opaque by size.
    assert ((painted[..., 2] > painted[..., 0]) == (weight > 0)).all()
    assert (np.argsort(painted[..., 3].ravel()) == np.argsort(np.abs(weight).ravel())).mean() > 0.7
    colors = filters(net_of_maps(3)).picture.rows[0].tiles[0]
    assert pixels_of(colors).shape == (3, 3, 3)


def test_a_dense_layer_shows_pictures_of_its_input() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 5))
    assert filters(net, shape=(1, 8, 8)).weight.shape == (5, 1, 8, 8)
    for options, said in (({}, "no convolution"), ({"layer": "2"}, "no layer is called '2'"),
                          ({"shape": (1, 7, 8)}, "make no picture")):  # fmt: skip
        with pytest.raises(ModelError, match=said):
            filters(net, **options)  # type: ignore[arg-type]


def test_feature_maps_are_the_nets_own_by_depth() -> None:
    net, given = net_of_maps().train(), torch.randn(3, 1, 8, 8)
    before = net.state_dict()["1.running_mean"].clone()
    found = feature_maps(net, given, 1)
    assert list(found.maps) == ["2", "3", "5"] and torch.equal(net.state_dict()["1.running_mean"], before)
    assert net.training and not net[0]._forward_hooks
    net.eval()
    torch.testing.assert_close(found.maps["5"], net[:6](given[1:2])[0].detach())
    assert found.picture.rows[1].words == "2 · ReLU · 4×8×8"
    with pytest.raises(ModelError, match="example 3 of 3"):
        feature_maps(net, given, 3)
    with pytest.raises(ModelError, match="makes no maps"):
        feature_maps(nn.Sequential(nn.Linear(3, 2)), torch.randn(2, 3))


@pytest.mark.parametrize("layer", ["0", "5", "7"])
def test_the_most_exciting_are_those_of_a_full_sort(layer: str) -> None:
    net, given = net_of_maps().eval(), torch.randn(50, 1, 8, 8)
    answers = net[: int(layer) + 1](given).detach()
    peaks = answers.flatten(2).amax(2) if answers.dim() == 4 else answers
    order = peaks.argsort(dim=0, descending=True, stable=True)[:5].T[:3]
    whole = exciting(net, layer, given, units=[0, 1, 2], count=5)
    parts = exciting(net, layer, given.split(7), units=[0, 1, 2], count=5, budget=1)
    assert torch.equal(whole.rows, order) and torch.equal(parts.rows, order)
    torch.testing.assert_close(parts.values, peaks[:, :3].T.gather(1, order))


def test_a_unit_is_shown_what_it_sees() -> None:
    net = nn.Sequential(nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 3, stride=2))
    given = torch.randn(4, 1, 11, 11)
    found = exciting(net, "1", given, count=2)
    for row, box in zip(found.rows[0].tolist(), found.boxes[0], strict=True):
        place = int(net(given[row : row + 1])[0, 0].argmax())
        down, across = divmod(place, 4)
        assert box == (2 * down, 2 * across, 2 * down + 5, 2 * across + 5)
    assert found.picture is not None and found.picture.rows[0].tiles[0].pixels.shape == (5, 5)


def test_exciting_says_what_is_not_there() -> None:
    with pytest.raises(ModelError, match=r"has no unit 9.*from 0 to 2"):
        exciting(net_of_maps(), "7", torch.randn(2, 1, 8, 8), units=[9])
    with pytest.raises(ModelError, match="no examples"):
        exciting(net_of_maps(), "7", [])
    assert exciting(nn.Sequential(nn.Linear(3, 2)), "0", torch.randn(5, 3)).picture is None


def test_imagined_inputs_excite_more_than_any_example() -> None:
    net, like = net_of_maps(), torch.randn(40, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    before, state = [w.clone() for w in net.parameters()], torch.get_rng_state()
    found = imagined(net, "7", like, steps=80)
    assert found.units == (0, 1, 2) and found.inputs.shape == (3, 1, 8, 8)
    assert all(value > best > begun for value, best, begun in zip(found.values, found.best, found.begun, strict=True))
    assert bool((found.inputs >= like.min()).all()) and bool((found.inputs <= like.max()).all())
    assert all(torch.equal(old, new) for old, new in zip(before, net.parameters(), strict=True))
    assert torch.equal(state, torch.get_rng_state()) and all(weight.grad is None for weight in net.parameters())
    again = imagined(net, "7", like, steps=80)
    assert torch.equal(found.inputs, again.inputs)
    with pytest.raises(ModelError, match="cannot be moved"):
        imagined(net, "7", torch.zeros(2, 3, dtype=torch.int64))


@pytest.mark.parametrize("shape", [(30, 5), (12, 40), (20, 2), (9, 1)])
def test_principal_components_agree_with_scikit_learn(shape: tuple[int, int]) -> None:
    rows = torch.randn(*shape, generator=torch.Generator().manual_seed(0)) @ torch.diag(torch.arange(1.0, shape[1] + 1))
    places, kept = principal(rows)
    theirs = PCA(min(2, shape[1])).fit(rows.double().numpy())
    expected = theirs.transform(rows.double().numpy())
    np.testing.assert_allclose(np.abs(places.numpy()[:, : expected.shape[1]]), np.abs(expected), atol=1e-4)
    assert kept == pytest.approx(theirs.explained_variance_ratio_.sum(), abs=1e-6)


def test_layers_are_projected_and_named() -> None:
    net, given = net_of_maps(), torch.randn(30, 1, 8, 8)
    labels = torch.arange(30) % 3
    found = project(net, given, labels=labels, names=["ant", "bee", "<cat>"])
    assert list(found.points) == ["0", "1", "2", "4", "5", "7"]
    picture = found.svg(name="p")
    root = ElementTree.fromstring(picture)
    words = "".join(root.itertext())
    assert "ant" in words and "<cat>" in words and "var(--scene-linear" in picture
    assert picture == found.svg(name="p")
    near = project(net, given, ["7"], method="t-SNE")
    assert near.points["7"].shape == (30, 2) and near.groups is None and "t-SNE" in near.svg()
    with pytest.raises(ModelError, match="labels: 4 for 30"):
        project(net, given, labels=labels[:4])
    with pytest.raises(ModelError, match="no layer is called '8'"):
        project(net, given, ["8"])


def test_the_boundary_is_where_the_net_ties() -> None:
    net = nn.Linear(2, 2)
    with torch.no_grad():
        net.weight.copy_(torch.tensor([[1.0, 1.0], [-1.0, -1.0]]))
        net.bias.zero_()
    points = torch.randn(60, 2, generator=torch.Generator().manual_seed(0))
    found = boundary(net, points, (points.sum(1) < 0).long(), fineness=21)
    assert found.regions is not None and found.chances is not None
    expected = (found.x[None, :] + found.y[:, None]) < 0
    assert torch.equal(found.regions.bool(), expected)
    torch.testing.assert_close(found.chances.sum(2), torch.ones(21, 21))
    assert found.svg().count("<path") > 2 and "<image" in found.svg()


def sigmoid_of_first(x: Tensor) -> Tensor:
    return x[:, 0].sigmoid()


@pytest.mark.parametrize("answer", [sigmoid_of_first, lambda x: x[:, 0], lambda x: x[:, :1]])
def test_one_output_of_two_classes_is_a_chance(answer: Callable[[Tensor], Tensor]) -> None:
    points = torch.randn(40, 2)
    found = boundary(answer, points, (points[:, 0] > 0).long(), classes=("no", "yes"), fineness=9)
    assert found.chances is not None
    torch.testing.assert_close(found.chances[0, :, 1], found.x.sigmoid())
    number = boundary(answer, points, fineness=9)
    assert number.chances is None and "what it answers" in number.svg()


def test_other_columns_are_held_at_their_medians() -> None:
    points = torch.randn(31, 4)
    found = boundary(lambda x: x[:, 1] + 10 * x[:, 3], points, features=(2, 1), names=("a", "b", "c", "d"), fineness=5)
    assert found.columns == ("c", "b") and set(found.held) == {0, 3}
    expected = found.y + 10 * points[:, 3].median()
    torch.testing.assert_close(found.outputs[:, 2, 0], expected)
    for options, said in (({"features": (0, 4)}, "from 0 to 3"), ({"features": (1, 1)}, "two different")):
        with pytest.raises(ModelError, match=said):
            boundary(lambda x: x, points, **options)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="no table of two"):
        boundary(lambda x: x, torch.zeros(3, 2, dtype=torch.int64))


def test_classes_are_found_among_labels() -> None:
    assert groups_of(torch.tensor([2.0, 1.0])).names == ("1", "2")
    many = groups_of(torch.linspace(0, 1, 100))
    assert len(many.names) == 5 and set(many.codes.tolist()) == set(range(5))


def test_a_mosaic_is_whole_and_harmless() -> None:
    tiles = (Tile(torch.eye(4), "a<b>", "signed"), Tile(torch.rand(3, 5, 6), "colors", "picture"),
             Tile(torch.full((2, 2), float("nan")), "", "gray"), Tile(torch.rand(600, 300), "large"))  # fmt: skip
    picture = Mosaic("T & \x07", "d", (Row("row", tiles), Row("", ())), notes=("a note",))
    root = ElementTree.fromstring(picture.svg(name="m", standalone=False))
    assert len([e for e in root.iter() if e.tag.endswith("image")]) == 4 and "style" not in picture.svg(
        standalone=False
    )
    assert picture.lines == ("row: a<b>, colors, large", "", "a note") and picture.svg() == picture.svg()
    assert max(Image.open(io.BytesIO(tiles[3].png())).size) <= 256
