"""A tree of values comes back to the bit; a write that fails or is cut off leaves what was there before."""

from __future__ import annotations

import errno
import json

import pytest
import torch
from torch import nn

from deepglass.errors import RunError, StorageError
from deepglass.plain import finite
from deepglass.training.checkpoint import (
    load_checkpoint,
    read_weights,
    save_checkpoint,
    write_json,
    write_weights,
    writing,
)

TREE = {
    "epoch": 3,
    "figure": 0.1 + 0.2,
    "name": "a/b",
    "none": None,
    "list": [1, [torch.tensor([1.5, float("nan")])], "x"],
    "optimizer": {"state": {0: {"step": torch.tensor(7.0)}, 1: {}}, "param_groups": [{"lr": 1e-3, "params": [0, 1]}]},
}


def test_a_tree_comes_back_to_the_bit(tmp_path):
    save_checkpoint(tmp_path, TREE)
    found = load_checkpoint(tmp_path)
    assert found["figure"] == TREE["figure"] and found["none"] is None and found["name"] == "a/b"
    assert list(found["optimizer"]["state"]) == [0, 1]
    assert torch.equal(found["optimizer"]["state"][0]["step"], torch.tensor(7.0))
    assert torch.equal(found["list"][1][0].view(torch.int32), TREE["list"][1][0].view(torch.int32))


def test_a_real_optimizer_goes_on_as_if_never_stopped(tmp_path):
    def step(model, optimizer):
        optimizer.zero_grad()
        model(torch.ones(2, 3)).square().sum().backward()
        optimizer.step()

    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    step(model, optimizer)
    save_checkpoint(tmp_path, {"model": dict(model.state_dict()), "optimizer": optimizer.state_dict()})
    step(model, optimizer)
    again = nn.Linear(3, 2)
    other = torch.optim.AdamW(again.parameters(), fused=True)
    saved = load_checkpoint(tmp_path)
    again.load_state_dict(saved["model"])
    other.load_state_dict(saved["optimizer"])
    step(again, other)
    assert torch.equal(model.weight, again.weight)


def test_only_the_last_checkpoint_stays(tmp_path):
    for epoch in range(3):
        save_checkpoint(tmp_path, {"epoch": epoch, "weights": torch.full((4,), float(epoch))})
    assert len(list(tmp_path.glob("*.safetensors"))) == 1
    assert load_checkpoint(tmp_path)["weights"].tolist() == [2.0] * 4


def test_a_kill_between_the_two_files_leaves_the_former_state(tmp_path):
    save_checkpoint(tmp_path, {"weights": torch.zeros(2)})
    # The tensor file of the next state is there, and state.json does not name it yet.
    write_weights(tmp_path / "tensors-2.safetensors", {"/weights": torch.ones(2)})
    assert load_checkpoint(tmp_path)["weights"].tolist() == [0.0, 0.0]
    save_checkpoint(tmp_path, {"weights": torch.full((2,), 5.0)})
    assert load_checkpoint(tmp_path)["weights"].tolist() == [5.0, 5.0]


def test_a_failed_write_keeps_the_old_file_and_leaves_no_part(tmp_path):
    path = tmp_path / "run.json"
    write_json(path, {"a": 1})
    with pytest.raises(StorageError, match="disk is full"), writing(path) as beside:
        beside.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert json.loads(path.read_text()) == {"a": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.json"]


@pytest.mark.parametrize(("number", "words"), [(errno.EROFS, "read-only"), (errno.EACCES, "no permission")])
def test_each_refusal_of_the_system_is_named(tmp_path, number, words):
    with pytest.raises(StorageError, match=words), writing(tmp_path / "x"):
        raise OSError(number, "refused")


def test_a_file_where_a_folder_is_wanted_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        write_json(tmp_path / "file" / "run.json", {})


def test_tied_weights_are_written_under_both_names(tmp_path):
    shared = torch.ones(3)
    write_weights(tmp_path / "w.safetensors", {"a": shared, "b": shared})
    assert read_weights(tmp_path / "w.safetensors")["b"].tolist() == [1.0] * 3


def test_a_damaged_weight_file_is_one_clear_message(tmp_path):
    (tmp_path / "w.safetensors").write_bytes(b"not tensors")
    with pytest.raises(RunError, match="cannot be read"):
        read_weights(tmp_path / "w.safetensors")
    with pytest.raises(RunError, match="no checkpoint"):
        load_checkpoint(tmp_path)


def test_json_knows_no_nan():
    assert finite({"a": float("nan"), 1: (float("inf"), 2.0)}) == {"a": None, "1": [None, 2.0]}
