"""A run gives its own data back: read again from where they were, or stand-ins of the same form."""

from pathlib import Path

import torch

import deepglass as dg
from deepglass.data.batches import stand_ins
from deepglass.data.schema import Input, Schema, Target


def trained(folder: Path) -> dg.Run:
    return dg.train("iris", "neuron", epochs=1, baselines=False, report=False, out=folder / "iris")


def test_a_loaded_run_reads_its_own_data_again_with_the_same_split(tmp_path: Path):
    run = trained(tmp_path)
    loaded = dg.load(run.path)
    assert loaded.data is None
    own = loaded.own_data()
    assert run.data is not None and own is not None
    for part in ("train", "valid", "test"):
        assert torch.equal(own.part(part).inputs[0], run.data.part(part).inputs[0])
        assert torch.equal(own.part(part).target, run.data.part(part).target)


def test_a_batch_is_of_the_test_part_or_of_new_data(tmp_path: Path):
    run = trained(tmp_path)
    assert run.data is not None
    assert torch.equal(run.batch(count=5).inputs[0], run.data.test.inputs[0][:5])
    assert torch.equal(run.batch(count=5).target, run.data.test.target[:5])
    assert run.batch("iris", count=7).inputs[0].shape == (7, 4)


def test_where_the_data_are_gone_stand_ins_fit_the_model(tmp_path: Path):
    run = trained(tmp_path)
    loaded = dg.load(run.path)
    loaded.summary["given"] = None
    batch = loaded.batch(count=3)
    assert batch.target.shape == (3, 0)
    assert loaded.model(*batch.inputs).shape == (3, 3)


def test_stand_ins_have_the_kinds_and_ranges_of_the_schema():
    inputs = (
        Input("numbers", "numbers", (3,)),
        Input("codes", "codes", (2,), sizes=(2, 50)),
        Input("picture", "pixels", (3, 8, 8), mean=(0.5,) * 3, std=(0.2,) * 3),
    )
    made = stand_ins(Schema("table", inputs, Target("y", "regression", mean=(0.0,), std=(1.0,))), 400)
    assert [tuple(tensor.shape) for tensor in made] == [(400, 3), (400, 2), (400, 3, 8, 8)]
    codes = made[1]
    assert codes.dtype == torch.int64 and codes.min() >= 0
    assert codes[:, 0].unique().tolist() == [0, 1] and codes[:, 1].max() == 49
    assert abs(float(made[2].mean())) < 0.05 and abs(float(made[2].std()) - 1) < 0.05
    assert torch.equal(made[0], stand_ins(Schema("table", inputs, Target("y", "regression")), 400)[0])
