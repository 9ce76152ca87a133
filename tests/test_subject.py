"""What is looked at: a network of a run on its own examples, or of a Python file; nothing pickled is opened."""

from pathlib import Path

import pytest
import torch
from torch import nn

import deepglass as dg
from deepglass.errors import DeepglassError, ModelError
from deepglass.seeing.subject import open_subject

TWO = """
import torch
from torch import nn

class Small(nn.Module):
    def __init__(self, width=3):
        super().__init__()
        self.inner = nn.Linear(width, 2)
    def forward(self, x):
        return self.inner(x)

class Other(nn.Module):
    def __init__(self, width):
        super().__init__()
"""


def written(folder: Path, code: str, name: str = "net.py") -> str:
    path = folder / name
    path.write_text(code, encoding="utf-8")
    return str(path)


def test_a_run_is_seen_on_its_own_examples_with_their_loss(tmp_path: Path):
    run = dg.train("iris", "neuron", epochs=1, baselines=False, report=False, out=tmp_path / "iris")
    found = open_subject(str(run.path))
    assert found.run is not None and found.loss is not None
    assert run.data is not None and torch.equal(found.inputs[0], run.data.test.inputs[0][:8])
    value = found.loss(found.module(*found.inputs))
    assert torch.allclose(value, nn.functional.cross_entropy(run.model(*found.inputs), run.data.test.target[:8]))


def test_an_instance_is_taken_before_a_class_and_its_inputs_with_it(tmp_path: Path):
    code = TWO + "\nmodel = Small(5)\ninputs = torch.zeros(4, 5)\n"
    found = open_subject(written(tmp_path, code))
    assert isinstance(found.module, nn.Module) and found.inputs[0].shape == (4, 5)
    assert found.module(*found.inputs).shape == (4, 2)


def test_a_class_is_named_and_made_the_same_each_time(tmp_path: Path):
    path = written(tmp_path, TWO)
    before = torch.get_rng_state()
    one, other = (open_subject(f"{path}:Small").module for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize(
    ("code", "name", "said"),
    [
        (TWO, "", "several modules (Small, Other)"),
        (TWO, ":Smal", "'Small'"),
        (TWO, ":Other", "cannot be made without arguments"),
        ("x = 1\n", "", "no torch.nn.Module"),
        ("x = 1\n\n1 / 0\n", "", "line 3: ZeroDivisionError"),
        ("def f(:\n", "", "SyntaxError"),
    ],
)
def test_a_file_that_cannot_be_seen_says_why_and_what_next(tmp_path: Path, code: str, name: str, said: str):
    with pytest.raises(ModelError) as caught:
        open_subject(written(tmp_path, code) + name)
    assert said in str(caught.value) and "Next:" in str(caught.value)


@pytest.mark.parametrize("name", ["weights.pt", "model.pkl", "weights.safetensors", "absent.py", "absent"])
def test_nothing_pickled_is_opened_and_what_is_absent_is_said(tmp_path: Path, name: str):
    if "absent" not in name:
        torch.save({"a": torch.zeros(1)}, tmp_path / name)
    with pytest.raises(DeepglassError) as caught:
        open_subject(str(tmp_path / name))
    assert str(tmp_path / name) in str(caught.value)
