"""A4: the residual family, and VGG in the convolutional one, against published counts and networks we do not own."""

from typing import Any

import pytest
import torch
from torch import nn
from transformers import ResNetConfig, ResNetForImageClassification

from deepglass.data.schema import Input, Schema, Target
from deepglass.errors import ModelError, RecipeError
from deepglass.models.convolution import Convolution
from deepglass.models.residual import B0, DEPTHS, Residual, eights
from deepglass.models.shortcuts import Path, SqueezeExcite
from schemas import TEN


def pictures(*shape: int, classes: int = 10) -> Schema:
    named = Target("kind", "multiclass", tuple(map(str, range(classes))))
    return Schema("picture", (Input("picture", "pixels", shape),), named)


IMAGENET = pictures(3, 224, 224, classes=1000)


def weights_of(model: nn.Module) -> int:
    return sum(weight.numel() for weight in model.parameters())


@pytest.mark.parametrize(
    ("options", "published"),
    [
        ({"depth": 18}, 11_689_512),
        ({"depth": 34}, 21_797_672),
        ({"depth": 50}, 25_557_032),
        ({"depth": 101}, 44_549_160),
        ({"depth": 152}, 60_192_808),
        ({"form": "efficientnet"}, 5_288_548),
    ],
)
def test_weights_are_as_many_as_published_for_imagenet(options: dict[str, Any], published: int) -> None:
    with torch.device("meta"):
        model = Residual.from_schema(IMAGENET, **options)
        last = model.stages(model.stem(torch.empty(2, 3, 224, 224)))
    assert weights_of(model) == published
    assert last.shape[2:] == (7, 7)


@pytest.mark.parametrize(
    ("depth", "published"), [(20, 0.27), (32, 0.46), (44, 0.66), (56, 0.85), (110, 1.7)]
)  # millions, He et al. (2016), table 6
def test_thin_networks_for_small_pictures_are_those_of_the_paper(depth: int, published: float) -> None:
    with torch.device("meta"):
        model = Residual.from_schema(pictures(3, 32, 32), depth=depth)
        assert model.stem(torch.empty(2, 3, 32, 32)).shape == (2, 16, 32, 32), "no early pooling"
    assert weights_of(model) / 1e6 == pytest.approx(published, abs=0.05 if depth == 110 else 0.01)
    # A shortcut of ours that changes shape has weights, the paper's (its option A) has none.
    main = [m for name, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear) and "shortcut" not in name]
    assert len(main) == depth


@pytest.mark.parametrize(
    ("form", "published"),
    [("vgg11", 132_863_336), ("vgg13", 133_047_848), ("vgg16", 138_357_544), ("vgg19", 143_667_240)],
)
def test_vgg_has_the_weights_of_the_paper(form: Any, published: int) -> None:
    with torch.device("meta"):
        model = Convolution.from_schema(IMAGENET, form=form, normalization="none")
        assert model.eval()(torch.empty(2, 3, 224, 224)).shape == (2, 1000)
    assert weights_of(model) == published
    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers) == int(form[3:])


@pytest.mark.parametrize(("depth", "kind"), [(18, "basic"), (50, "bottleneck")])
def test_equals_the_network_of_transformers_with_its_weights(depth: int, kind: str) -> None:
    torch.manual_seed(0)
    widths, blocks = ((8, 12), (2, 1)) if kind == "basic" else ((16, 32), (1, 2))
    theirs = ResNetForImageClassification(ResNetConfig(
        embedding_size=widths[0], hidden_sizes=list(widths), depths=list(blocks), layer_type=kind,
        id2label={place: str(place) for place in range(10)},
    )).eval()  # fmt: skip
    ours = Residual.from_schema(pictures(3, 70, 80), depth=depth, widths=widths, blocks=blocks).eval()
    state = theirs.state_dict()
    for name, tensor in state.items():
        if tensor.is_floating_point():
            tensor += 0.1 * torch.rand_like(tensor) if "var" in name else 0.1 * torch.randn_like(tensor)
    named = {theirs_to_ours(name): tensor for name, tensor in state.items()}
    ours.load_state_dict(named, strict=True)
    x = torch.randn(3, 3, 70, 80)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x).logits, rtol=1e-4, atol=1e-5)


def theirs_to_ours(name: str) -> str:
    parts = name.split(".")
    layer = {"convolution": 0, "normalization": 1}
    if parts[0] == "classifier":
        return f"head.2.{parts[-1]}"
    if "embedder" in parts:
        return f"stem.{layer[parts[-2]]}.{parts[-1]}"
    stage, block = parts[parts.index("stages") + 1], parts[parts.index("layers") + 1]
    if "shortcut" in parts:
        return f"stages.{stage}.{block}.shortcut.{layer[parts[-2]]}.{parts[-1]}"
    place = int(parts[parts.index("layer") + 1])
    return f"stages.{stage}.{block}.branch.{3 * place + layer[parts[-2]]}.{parts[-1]}"


@pytest.mark.parametrize("options", [{}, {"depth": 50}, {"form": "resnet_v2"}, {"form": "efficientnet", "scale": -8.0}])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 20), (3, 65, 70), (1, 1, 1)])
def test_any_size_is_taken(shape: tuple[int, ...], options: dict[str, Any]) -> None:
    with torch.device("meta"):
        model = Residual.from_schema(pictures(*shape), **options)
        assert model(torch.empty(4, *shape)).shape == (4, 10)


@pytest.mark.parametrize("form", ["resnet", "resnet_v2", "efficientnet"])
def test_every_block_begins_as_its_shortcut(form: Any) -> None:
    torch.manual_seed(0)
    model = Residual.from_schema(pictures(3, 16, 16), form=form, widths=(8, 8), blocks=(3, 2)).eval()
    x = model.stem(torch.rand(2, 3, 16, 16))
    for block in list(model.stages[0].children())[1:]:
        assert torch.equal(block(x), x.relu() if form == "resnet" else x)


def test_scaling_follows_the_paper() -> None:
    """B1 of Tan & Le (2019) is 1.1 times as deep; B7 (scale 7) about twice as wide and 3.1 times as deep."""
    with torch.device("meta"):
        seven = Residual.from_schema(IMAGENET, form="efficientnet", scale=7)
    blocks = [len(stage) for stage in seven.stages]  # type: ignore[arg-type]
    assert blocks == [4, 8, 8, 11, 11, 15, 4]
    assert weights_of(seven) / 1e6 == pytest.approx(66, rel=0.1)
    assert [eights(width) for width in B0.widths] == list(B0.widths), "multiples of 8 stay as they are"


def test_a_squeeze_weighs_whole_maps() -> None:
    torch.manual_seed(0)
    layer = SqueezeExcite(6, 2, nn.SiLU()).double()
    maps = torch.randn(3, 6, 4, 5, dtype=torch.float64)
    ratio = (layer(maps) / maps).flatten(2)
    torch.testing.assert_close(ratio, ratio[..., :1].expand_as(ratio))
    assert ratio.min() > 0 and ratio.max() < 1


def test_paths_are_dropped_example_by_example_and_keep_the_mean() -> None:
    torch.manual_seed(0)
    path = Path(nn.Sequential(nn.Identity()), drop=0.25)
    made = path(torch.ones(4000, 2, 2, 2)).flatten(1)
    assert torch.equal(made, made[:, :1].expand_as(made))
    assert sorted(set(made[:, 0].tolist())) == pytest.approx([0.0, 1 / 0.75])
    assert made.mean().item() == pytest.approx(1.0, abs=0.04)
    assert torch.equal(path.eval()(torch.ones(5, 2, 2, 2)), torch.ones(5, 2, 2, 2))


def test_bad_wishes_are_refused_in_words() -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"depth": 17}, r"no residual network of 17 layers.*18, 20, 32, 34"),
        ({"form": "resnet2"}, r"no choice 'resnet2'.*'resnet"),
        ({"form": "efficientnet", "depth": 18}, "an efficientnet grows by scale"),
        ({"form": "efficientnet", "scale": 50.0}, "beyond ±8"),
        ({"scale": 1.0}, "a resnet grows by depth"),
        ({"widths": (8, 16), "blocks": (1, 1, 1)}, "2 stages and 3"),
        ({"widths": ()}, "0 stages"),
        ({"widths": (8, 0)}, "widths: 0 is not a whole number"),
        ({"form": "efficientnet", "widths": (8,) * 8}, "at most 7"),
        ({"drop_path": 1.0}, "drop_path: 1.0 is not a share"),
        ({"activation": "step"}, "no layer below it would ever learn"),
    ]
    for options, words in cases:
        with pytest.raises(RecipeError, match=words):
            Residual.from_schema(pictures(1, 8, 8), **options)
    for options, words in [({"form": "vgg12"}, "no choice 'vgg12'"), ({"depth": (1, 2, 3)}, "3 numbers for 2 stages")]:
        with pytest.raises(RecipeError, match=words):
            Convolution.from_schema(pictures(1, 8, 8), **options)
    table = Schema("table", (Input("numbers", "numbers", (3,)),), TEN)
    with pytest.raises(ModelError, match="the residual family wants pictures"):
        Residual.from_schema(table)


def test_without_a_word_small_pictures_get_a_small_network() -> None:
    def convolutions(*shape: int) -> int:
        with torch.device("meta"):
            model = Residual.from_schema(pictures(*shape))
        return sum(isinstance(m, nn.Conv2d) and m.kernel_size != (1, 1) for m in model.modules()) + 1

    with torch.device("meta"):
        thin = Residual.from_schema(pictures(3, 32, 32), form="efficientnet")
    assert [len(list(stage.children())) for stage in thin.stages] == [1, 1, 1, 2, 2, 2, 1]
    assert (convolutions(1, 28, 28), convolutions(3, 32, 32), convolutions(3, 224, 224)) == (8, 10, 18)
    assert sorted(DEPTHS) == [8, 18, 20, 32, 34, 44, 50, 56, 101, 110, 152]
