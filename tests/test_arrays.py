"""Arrays, tensors and torch data sets become data exactly as they stand, or as the table or pictures that they are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset, IterableDataset, Subset, TensorDataset

from deepglass.data.schema import Data, Schema, Wishes
from deepglass.data.sources import read, reread
from deepglass.errors import DeepglassError, PictureError, RecipeError, SourceError, TableError, TargetError

RANDOM = np.random.default_rng(0)


def table(count: int = 60, width: int = 4) -> np.ndarray:
    return RANDOM.normal(size=(count, width))


def classes(count: int = 60) -> np.ndarray:
    return np.arange(count) % 3


def gathered(data: Data) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs and targets of all parts, back in the order of the source."""
    parts = (data.train, data.valid, data.test)
    order = torch.cat([part.rows for part in parts]).argsort()
    inputs, target = (torch.cat(list(tensors))[order] for tensors in (
        (part.inputs[0] for part in parts), (part.target for part in parts)))  # fmt: skip
    return inputs, target


PLAIN = Wishes(plain=True)


def test_plain_floats_are_taken_as_they_stand() -> None:
    X, y = table(), RANDOM.normal(size=60)
    for examples in (X, torch.from_numpy(X), X.astype(np.float32), X.reshape(60, 2, 1, 2), torch.tensor(X).bfloat16()):
        data = read((examples, y), PLAIN)
        inputs, target = gathered(data)
        assert torch.equal(inputs, torch.as_tensor(examples).float()) and inputs.dtype == torch.float32
        assert data.schema.kind == "tensor" and data.schema.inputs[0].shape == tuple(examples.shape[1:])
        np.testing.assert_allclose(target[:, 0].numpy(), y, rtol=1e-6)
        assert (data.schema.target.mean, data.schema.target.std) == ((0.0,), (1.0,))


def test_plain_whole_numbers_stay_codes_and_bytes_become_floats() -> None:
    words = RANDOM.integers(0, 50, (60, 7))
    words[0, 0] = 49
    data = read((words, classes()), PLAIN)
    assert data.train.inputs[0].dtype == torch.int64 and data.schema.inputs[0].kind == "codes"
    assert data.schema.inputs[0].sizes == (50,) and torch.equal(gathered(data)[0], torch.from_numpy(words))
    pixels = RANDOM.integers(0, 256, (60, 3, 8, 8), dtype=np.uint8)
    plain = read((pixels, classes()), PLAIN)
    assert (
        torch.equal(gathered(plain)[0], torch.from_numpy(pixels).float()) and plain.schema.inputs[0].kind == "numbers"
    )
    assert plain.train.inputs[0].dtype == torch.float32
    assert "floats 0 … 255" in plain.notes[0].text


@pytest.mark.parametrize("make", [
    lambda y: y, lambda y: y.astype(np.float64), lambda y: y.astype(bool), lambda y: torch.from_numpy(y)[:, None],
    lambda y: np.array(["no", "yes"])[y], lambda y: np.eye(2)[y], lambda y: y.tolist(),
])  # fmt: skip
def test_two_classes_however_they_are_written(make) -> None:
    y = np.arange(60) % 2
    for wishes in (PLAIN, Wishes()):
        data = read((table(), make(y)), wishes)
        assert data.schema.target.task == "binary"
        assert gathered(data)[1].tolist() == y.tolist() and gathered(data)[1].dtype == torch.int64


def test_two_axes_are_a_table_and_read_again_alike() -> None:
    X, y = table(), classes()
    data = read((X, y))
    assert data.schema.kind == "table" and data.schema.inputs[0].columns == ("x0", "x1", "x2", "x3")
    assert data.schema.target.classes == ("0", "1", "2") and gathered(data)[1].tolist() == y.tolist()
    schema = Schema.from_json(json.loads(json.dumps(data.schema.to_json())))
    part, _ = reread(schema, (X, y), with_target=True)
    assert torch.equal(part.inputs[0], gathered(data)[0]) and part.target.tolist() == y.tolist()
    alone, _ = reread(schema, torch.from_numpy(X), with_target=False)
    assert torch.equal(alone.inputs[0], part.inputs[0]) and alone.target.shape == (60, 0)
    assert len(reread(schema, X[0], with_target=False)[0]) == 1
    with pytest.raises(TableError, match="trained on 4 columns"):
        reread(schema, X[:, :3], with_target=False)
    with pytest.raises(TargetError, match="not there in training"):
        reread(schema, (X, y + 7), with_target=True)
    with pytest.raises(TargetError, match="without labels"):
        reread(schema, X, with_target=True)


def test_numbers_of_one_and_several_columns() -> None:
    X = table()
    one = read((X, X[:, 0] * 3 + 1))
    assert one.schema.target.task == "regression" and len(one.schema.target.mean) == 1
    two = read((X, X[:, :2] * 5 + 2))
    assert two.train.target.shape[1] == 2 == len(two.schema.target.mean)
    target = two.schema.target
    back = gathered(two)[1].double().numpy() * target.std + target.mean
    np.testing.assert_allclose(back, X[:, :2] * 5 + 2, atol=1e-5)
    part, _ = reread(two.schema, (X, X[:, :2] * 5 + 2), with_target=True)
    assert torch.equal(part.target, gathered(two)[1])


@pytest.mark.parametrize("layout", ["first", "last", "none"])
def test_pictures_whatever_the_layout(layout: str) -> None:
    pixels = RANDOM.integers(0, 256, (60, 3, 10, 12), dtype=np.uint8)
    given = {"first": pixels, "last": pixels.transpose(0, 2, 3, 1), "none": pixels[:, 0]}[layout]
    expected = torch.from_numpy(pixels if layout != "none" else pixels[:, :1])
    data = read((given, classes()))
    assert data.schema.kind == "picture" and torch.equal(gathered(data)[0], expected)
    schema = Schema.from_json(json.loads(json.dumps(data.schema.to_json())))
    for new in (given, torch.from_numpy(given.copy())):
        assert torch.equal(reread(schema, new, with_target=False)[0].inputs[0], expected)
    assert torch.equal(reread(schema, given[5], with_target=False)[0].inputs[0], expected[5:6])
    part, _ = reread(schema, (given, classes()), with_target=True)
    assert part.target.tolist() == classes().tolist()
    with pytest.raises(PictureError, match="trained on"):
        reread(schema, given[:, :, :5], with_target=False)


def test_float_pictures_keep_their_values_in_0_to_1() -> None:
    pixels = RANDOM.integers(0, 256, (60, 3, 8, 8), dtype=np.uint8)
    exact = read((pixels / 255, classes()))
    assert torch.equal(gathered(exact)[0], torch.from_numpy(pixels))
    fine = RANDOM.random((60, 3, 8, 8))
    found, _ = gathered(read((fine, classes())))
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), fine, atol=1e-6)
    wide = fine * 6 - 3
    data = read((wide, classes()))
    np.testing.assert_allclose(gathered(data)[0].numpy(), (wide - wide.min()) / np.ptp(wide), atol=1e-6)
    assert "scaled to 0 … 1" in data.notes[0].text
    part, _ = reread(data.schema, wide[:4] / 2, with_target=False)
    np.testing.assert_allclose(part.inputs[0].numpy(), (wide[:4] / 2 - wide.min()) / np.ptp(wide), atol=1e-6)
    wide[3, 0, 0, 0] = np.nan
    with pytest.raises(PictureError, match="missing or infinite"):
        read((wide, classes()))


class Squares(Dataset):
    """Pairs (x, y), as people write them."""

    def __init__(self, examples: np.ndarray, labels: np.ndarray) -> None:
        self.examples, self.labels = examples, labels

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, place: int):
        return torch.from_numpy(self.examples[place]), int(self.labels[place])


def test_torch_data_sets() -> None:
    X, y = table().astype(np.float32), classes()
    expected = gathered(read((X, y), PLAIN))
    for dataset in (
        Squares(X, y),
        TensorDataset(torch.from_numpy(X), torch.from_numpy(y)),
        Subset(Squares(X, y), range(60)),
    ):
        found = gathered(read(dataset, PLAIN))
        assert torch.equal(found[0], expected[0]) and torch.equal(found[1], expected[1])
    pixels = RANDOM.integers(0, 256, (60, 3, 8, 8), dtype=np.uint8)
    assert read(Squares(pixels, y)).schema.kind == "picture"

    class Endless(IterableDataset):
        def __iter__(self):
            yield from ()

    class Uneven(Squares):
        def __getitem__(self, place: int):
            return torch.zeros(place + 1), 0

    three = TensorDataset(*[torch.zeros(3)] * 3)
    for bad, said in ((Endless(), "without a length"), (Uneven(X, y), "expected one shape"), (three, "pairs")):
        with pytest.raises(SourceError, match=said):
            read(bad)


def test_npz_files(tmp_path: Path) -> None:
    X, y = table(), classes()
    np.savez(tmp_path / "one.npz", X=X, y=y)
    data = read(tmp_path / "one.npz")
    assert torch.equal(gathered(data)[0], gathered(read((X, y)))[0]) and data.source == "one.npz"
    pixels = RANDOM.integers(0, 256, (60, 8, 8), dtype=np.uint8)
    for examples in (X, pixels):
        np.savez(tmp_path / "parts.npz", x_train=examples[:50], y_train=y[:50], x_test=examples[50:], y_test=y[50:])
        split = read(tmp_path / "parts.npz")
        assert sorted(split.test.rows.tolist()) == list(range(50, 60)) and "test part is kept" in split.split
        assert split.test.target.tolist() == y[50:].tolist()
        assert sorted(torch.cat([split.train.rows, split.valid.rows]).tolist()) == list(range(50))
    np.savez(tmp_path / "bad.npz", X=np.array([{}], dtype=object), y=[1])
    with pytest.raises(SourceError, match="Python objects"):
        read(tmp_path / "bad.npz")
    np.savez(tmp_path / "odd.npz", alpha=X)
    with pytest.raises(SourceError, match="expected X and y"):
        read(tmp_path / "odd.npz")
    np.savez(tmp_path / "x.npz", X=X)
    with pytest.raises(TargetError, match="without labels"):
        read(tmp_path / "x.npz")
    (tmp_path / "text.npz").write_text("no zip")
    with pytest.raises(SourceError, match=r"cannot be read as \.npz"):
        read(tmp_path / "text.npz")


def holed() -> np.ndarray:
    X = table()
    X[7, 1], X[9, 0] = np.nan, np.inf
    return X


@pytest.mark.parametrize(("source", "wishes", "kind", "said"), [
    ((table(), classes(59)), Wishes(), SourceError, "60 examples, y 59 labels"),
    ((table(), 3), Wishes(), SourceError, "y one label"),
    ((holed(), classes()), PLAIN, TableError, r"2 of 60 examples hold missing or infinite values \(first: 7\)"),
    ((np.array([["a", "b"]] * 4), [0, 1, 0, 1]), Wishes(), SourceError, "expected numbers"),
    (([[1.0], [1.0, 2.0]], [0, 1]), Wishes(), SourceError, "different lengths"),
    ((table(), np.zeros(60, int)), Wishes(), TargetError, "only the class '0'"),
    ((table(), np.full(60, np.nan)), PLAIN, TargetError, "60 of 60 labels"),
    ((table(0), classes(0)), Wishes(), SourceError, "no examples"),
    (table(), Wishes(), TargetError, "without labels"),
    ((table(), classes()), Wishes(plain=True, group="g"), RecipeError, "no named columns"),
    (object(), Wishes(), SourceError, "nothing that can be read"),
    (3.5, Wishes(), SourceError, "a float is nothing"),
])  # fmt: skip
def test_what_cannot_be_learned_from_is_said(source, wishes: Wishes, kind: type[DeepglassError], said: str) -> None:
    with pytest.raises(kind, match=said) as caught:
        read(source, wishes)
    assert caught.value.next


def test_tables_of_numbers_with_holes_are_fine_for_our_own_networks() -> None:
    data = read((holed(), classes()))
    assert all(torch.isfinite(part.inputs[0]).all() for part in (data.train, data.valid, data.test))
    assert "x1 is missing" in data.schema.inputs[0].columns or "x0 is missing" in data.schema.inputs[0].columns


def test_a_plain_tensor_is_read_again_as_it_stands() -> None:
    X, y = table().reshape(60, 2, 2), table()[:, 0]
    data = read((X, y), PLAIN)
    schema = Schema.from_json(json.loads(json.dumps(data.schema.to_json())))
    part, _ = reread(schema, (X, y), with_target=True)
    assert torch.equal(part.inputs[0], gathered(data)[0]) and torch.equal(part.target, gathered(data)[1])
    assert reread(schema, X[0], with_target=False)[0].inputs[0].shape == (1, 2, 2)
    with pytest.raises(TableError, match="trained on"):
        reread(schema, X.reshape(60, 4), with_target=False)
    assert reread(schema, data, with_target=True)[0] is data.test
