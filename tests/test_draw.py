"""draw(): every view of anything, to files by their endings, without a trace on what is drawn."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from deepglass.drawing.draw import VIEWS, Drawing, draw
from deepglass.errors import DeepglassError, ModelError, StorageError
from deepglass.tracing.record import record


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(), nn.Linear(144, 3)
    )


X = torch.ones(2, 1, 8, 8)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("ending", [".svg", ".png", ".html", ".txt", ".SVG"])
def test_every_view_into_every_kind_of_file(tmp_path: Path, view: str, ending: str) -> None:
    file = tmp_path / f"picture{ending}"
    drawing = draw(net(), X, view=view, out=file)
    if ending == ".png":
        with Image.open(file) as image:
            assert image.size == tuple(int(2 * side) for side in (drawing.scene.width, drawing.scene.height))
    elif ending == ".html":
        assert file.read_text("utf-8").startswith("<!doctype html>")
    elif ending == ".txt":
        assert file.read_text("utf-8") == str(drawing) + "\n"
    else:
        assert file.read_text("utf-8") == drawing.svg
        ElementTree.parse(file)


@pytest.mark.parametrize("view", VIEWS)
def test_what_is_drawn_is_left_as_it_was(view: str) -> None:
    module = net()
    module[5].requires_grad_(False)
    module[1].eval()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    modes = [part.training for part in module.modules()]
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    draw(module, X, view=view)
    assert torch.equal(torch.rand(3), expected)
    assert [part.training for part in module.modules()] == modes
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    assert all(weight.grad is None for weight in module.parameters())
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())
    assert [weight.requires_grad for weight in module.parameters()] == [True] * 4 + [False] * 2


@pytest.mark.parametrize("view", VIEWS)
def test_it_draws_the_same_twice(view: str) -> None:
    assert draw(net(), X, view=view).svg == draw(net(), X, view=view).svg


@dataclass
class Trained:
    """As much of a run as draw() asks for."""

    model: nn.Module
    schema: Any = None

    def batch(self, count: int) -> Any:
        return SimpleNamespace(inputs=(torch.ones(count, 3),))


def test_modules_functions_records_and_runs_are_all_drawn() -> None:
    linear = nn.Linear(3, 2)
    x = torch.ones(2, 3)
    pictures = [draw(linear, x), draw(record(linear, x)), draw(Trained(linear)), draw(Trained(linear), x)]
    assert len({picture.svg for picture in pictures}) == 1
    assert "relu" in draw(torch.relu, x, view="graph").text


GUESSED = {
    "numbers": (nn.Sequential(nn.Linear(7, 2)), "2 × 7 random numbers"),
    "pictures": (nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1)), "2 × 3 × 32 × 32 random numbers"),
    "pictures of 28": (net().append(nn.Identity()), "2 × 1 × 8 × 8"),
    "series": (nn.Sequential(nn.Conv1d(5, 4, 3)), "2 × 5 × 64 random numbers"),
    "words": (nn.Sequential(nn.Embedding(50, 4), nn.Flatten()), "2 × 8 random codes below 50"),
    "recurrent": (nn.GRU(6, 4, batch_first=True), "2 × 8 × 6 random numbers"),
    "double": (nn.Linear(4, 2).double(), "2 × 4 random numbers"),
    "normalized": (nn.LayerNorm([3, 5]), "2 × 3 × 5 random numbers"),
}


@pytest.mark.parametrize("name", [name for name in GUESSED if name != "pictures of 28"])
def test_inputs_are_guessed_and_it_is_said(name: str) -> None:
    module, words = GUESSED[name]
    assert f"no inputs were given; drawn for a guess from the first layer: {words}" in draw(module, view="graph").text


@pytest.mark.parametrize("view", VIEWS)
def test_a_guess_is_said_in_every_view(view: str) -> None:
    assert "no inputs were given" in draw(nn.Linear(3, 2), view=view).text


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.layer(x) + y


@pytest.mark.parametrize("module", [nn.ReLU(), Two(), GUESSED["pictures of 28"][0]])
def test_what_cannot_be_guessed_asks_for_an_example(module: nn.Module) -> None:
    with pytest.raises(ModelError, match=r"cannot be guessed.*draw\(module, x\)"):
        draw(module)


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"view": "graf"}, "no view is called 'graf'. Next: try 'graph'"),
        ({"out": "picture.jpg"}, "it ends in '.jpg'. Next: name it with one of .svg, .png, .html, .txt"),
        ({"out": "picture"}, "it has no ending"),
        ({"view": "layers", "step": 2}, "the view 'layers' has no steps"),
        ({"view": "graph", "step": 99}, "no step 99: there are 5. Next: give one from 1 to 5"),
        ({"view": "layers", "at": "6"}, "no module '6' ran"),
        ({"view": "nodes", "at": "6"}, "no module '6' ran"),
        ({"view": "summary", "at": "6"}, "no module '6' ran"),
    ],
)
def test_a_wish_that_cannot_be_met_is_told_what_can(wish: dict[str, Any], words: str) -> None:
    with pytest.raises(ModelError) as told:
        draw(net().eval(), X, **wish)
    assert words in str(told.value)


@pytest.mark.parametrize("ending", [".svg", ".png", ".html", ".txt"])
def test_a_folder_that_is_not_there_is_named(tmp_path: Path, ending: str) -> None:
    with pytest.raises(StorageError, match=r"cannot be written \(No such file or directory\)\. Next: "):
        draw(net(), X, out=tmp_path / "missing" / f"x{ending}")


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="an administrator may write anywhere")
@pytest.mark.parametrize("ending", [".svg", ".png"])
def test_a_read_only_folder_is_named(tmp_path: Path, ending: str) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StorageError, match="cannot be written"):
        draw(net(), X, out=tmp_path / f"x{ending}")


@pytest.mark.parametrize("ending", [".svg", ".png", ".html", ".txt"])
def test_a_folder_in_the_place_of_the_file_is_named(tmp_path: Path, ending: str) -> None:
    (tmp_path / f"x{ending}").mkdir()
    with pytest.raises(StorageError, match="cannot be written"):
        draw(net(), X, out=tmp_path / f"x{ending}")


@pytest.mark.parametrize("view", [view for view in VIEWS if view != "nodes"])
def test_a_module_that_raises_half_way_shows_what_ran(view: str) -> None:
    broken = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(5, 2))
    text = draw(broken, torch.ones(1, 3), view=view).text
    assert "5" in text and ("relu" in text.casefold())


@pytest.mark.parametrize("thing", [3, "resnet", None, [1, 2]])
def test_what_is_no_network_is_refused(thing: Any) -> None:
    with pytest.raises(DeepglassError, match="Next: "):
        draw(thing, torch.ones(1))


def test_a_notebook_shows_it() -> None:
    drawing = draw(net(), X)
    assert isinstance(drawing, Drawing)
    assert drawing._repr_svg_() == drawing.svg
    assert drawing._repr_html_().count("<svg") == 1
    assert "Scene" not in repr(drawing)


@pytest.mark.parametrize("view", VIEWS)
def test_one_module_is_drawn_alone(view: str) -> None:
    whole = nn.Sequential(nn.Linear(3, 4), nn.Sequential(nn.Linear(4, 5), nn.ReLU()))
    drawing = draw(whole, torch.ones(2, 3), view=view, at="1")
    assert drawing.scene.width * drawing.scene.height < 4 * 10**6
    assert "2 × 3" not in drawing.text
