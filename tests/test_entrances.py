"""Whole numbers followed into a net: to the right place, told from masks, and given up where they mix."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from deepglass.errors import ModelError
from deepglass.explaining.attributing import integrated_gradients
from deepglass.explaining.attribution import attribute
from reader_net import Reader

NEAR = 1e-5


class Mixed(nn.Module):
    """Numbers and codes; one code is looked up, one is told by "equal to", as a one-hot row."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.town = nn.Embedding(5, 4)
        self.last = nn.Linear(3 + 4 + 3, 1)

    def forward(self, numbers: Tensor, codes: Tensor) -> Tensor:
        color = (codes.index_select(1, torch.tensor([1])) == torch.arange(3)).to(numbers.dtype)
        return self.last(torch.cat([numbers, self.town(codes[:, 0]), color], 1))


def test_tokens_agree_with_captum_at_the_embedding() -> None:
    captum = pytest.importorskip("captum.attr")
    net = Reader()
    tokens = torch.randint(1, 11, (4, 7), generator=torch.Generator().manual_seed(0))
    base = torch.full_like(tokens[:1], 2)
    method = functools.partial(integrated_gradients, steps=24)
    found = attribute(net, tokens, 1, method=method, baseline=base, checks=0).values[0]
    # Zero is the padding, whose mask captum's way of moving the embedding alone leaves as it is too.
    theirs = captum.LayerIntegratedGradients(net, net.words).attribute(
        tokens, base.expand_as(tokens), target=1, n_steps=24
    )
    assert found.shape == (4, 7)
    torch.testing.assert_close(found, theirs.sum(2), atol=NEAR, rtol=0)


def test_several_inputs_and_codes_in_their_columns() -> None:
    net = Mixed()
    numbers, codes = torch.randn(4, 3), torch.tensor([[0, 1], [3, 2], [4, 0], [1, 1]])
    found = attribute(net, (numbers, codes), method="integrated_gradients", checks=0)
    assert found.kind == "table" and [entry.shape for entry in found.values] == [(4, 3), (4, 2)]
    weight = net.last.weight[0].detach()
    torch.testing.assert_close(found.values[0], weight[:3] * numbers)
    town = (net.town.weight.detach()[codes[:, 0]] * weight[3:7]).sum(1)
    torch.testing.assert_close(found.values[1], torch.stack([town, weight[7:][codes[:, 1]]], 1))


@pytest.mark.parametrize(
    "turned",
    [
        lambda ids: ids.T.contiguous().T,
        lambda ids: ids.flip(1).roll(1, 1),
        lambda ids: torch.cat(ids.split(3, 1)[::-1], 1),
        lambda ids: (ids + 3) - 3,
        lambda ids: ids.reshape(-1).reshape(ids.shape),
        lambda ids: torch.stack(ids.unbind(1), 1),
    ],
)
def test_places_follow_whole_numbers(turned: Callable[[Tensor], Tensor]) -> None:
    table = torch.arange(9.0)[:, None]
    ids = torch.tensor([[1, 2, 3, 4, 5, 6], [6, 5, 8, 7, 2, 1], [2, 2, 3, 3, 4, 4], [0, 1, 0, 1, 0, 1],
                        [8, 8, 8, 1, 1, 1], [3, 1, 4, 1, 5, 2]])  # fmt: skip

    def total(tokens: Tensor) -> Tensor:
        return nn.functional.embedding(turned(tokens), table).sum((1, 2))

    found = attribute(total, ids, method="gradient_times_input", checks=0)
    assert found.values[0].tolist() == ids.tolist()


def test_a_mask_and_a_position_are_not_explained() -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(vocab_size=40, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
                                     intermediate_size=16, max_position_embeddings=16)  # fmt: skip
    torch.manual_seed(0)
    net = transformers.BertForSequenceClassification(config)
    ids, mask = torch.randint(1, 40, (3, 9)), torch.ones(3, 9, dtype=torch.int64)
    mask[:, 6:] = 0
    found = attribute(net, {"input_ids": ids, "attention_mask": mask}, checks=0)
    assert len(found.values) == 1 and found.kind == "sequence"
    assert bool((found.values[0][:, 6:] == 0).all()) and bool((found.values[0][:, :6] != 0).all())


def test_whole_numbers_that_cannot_be_followed_are_occluded() -> None:
    class Bag(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.bag = nn.EmbeddingBag(9, 1, mode="sum")

        def forward(self, tokens: Tensor) -> Tensor:
            return self.bag(tokens)

    net, tokens = Bag(), torch.randint(1, 9, (3, 5))
    found = attribute(net, tokens, checks=0)
    assert found.method == "occlusion" and "cannot be followed" in found.why
    weight = net.bag.weight.detach()[:, 0]
    torch.testing.assert_close(found.values[0].float(), weight[tokens] - weight[0])


@pytest.mark.parametrize("mixed", [lambda ids: ids.cumsum(1), lambda ids: ids[:, 1:] + ids[:, :-1]])
def test_whole_numbers_that_are_mixed_are_not_given_a_place(mixed: Callable[[Tensor], Tensor]) -> None:
    table = torch.arange(50.0)[:, None]
    ids = torch.tensor([[1, 2, 3, 4]])

    def total(tokens: Tensor) -> Tensor:
        return nn.functional.embedding(mixed(tokens), table).sum((1, 2))

    with pytest.raises(ModelError, match="occlusion"):
        attribute(total, ids, method="integrated_gradients")
    found = attribute(total, ids, checks=0).values[0]  # how many of the sums each is in
    assert found.tolist() == ([[4, 6, 6, 4]] if "cumsum" in mixed.__code__.co_names else [[1, 4, 6, 4]])
