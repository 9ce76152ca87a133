"""The surface is frozen: public names, commands, flags; and asking for help costs no torch."""

import importlib
import re
import subprocess
import sys

import pytest

import deepglass
from deepglass.cli import FIELDS
from deepglass.models import CATALOGUE
from deepglass.training.recipe import KINDS

NAMES = [
    "Data", "DeepglassError", "Recipe", "Run",
    "attribute", "diagnose", "draw", "load", "probe", "read", "record", "train",
]  # fmt: skip
FLAGS = {
    "train": {"target", "model", "epochs", "minutes", "seed", "out", "device", "set", "resume", "json"},
    "evaluate": {"json"},
    "predict": {"out", "json"},
    "data": {"target", "json"},
    "see": {"view", "at", "step", "out"},
    "diagnose": {"cure", "json"},
    "report": {"open"},
}
MOST_NAMES, MOST_FLAGS = 12, 24
LOADED = "print(sorted({'torch', 'numpy', 'sklearn', 'pyarrow', 'matplotlib'} & set(sys.modules)))"


def said(code: str) -> list[str]:
    """The last line that a fresh interpreter prints, and all of it."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def flags() -> dict[str, set[str]]:
    """Each command's long flags, as the command line itself knows them."""
    typer = importlib.import_module("typer.main")
    group = typer.get_command(importlib.import_module("deepglass.cli").app)
    return {
        name: {
            flag.removeprefix("--")
            for parameter in command.params
            if parameter.param_type_name == "option"
            for flag in parameter.opts
            if flag.startswith("--") and flag != "--help"
        }
        for name, command in group.commands.items()
    }


def test_public_names_are_these():
    assert sorted(deepglass.__all__) == NAMES
    assert len(NAMES) <= MOST_NAMES
    assert set(deepglass.PUBLIC) == set(deepglass.__all__)


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_is_there(name: str):
    thing = getattr(deepglass, name)
    assert thing.__name__ == name
    assert thing.__module__ == deepglass.PUBLIC[name]
    assert name in dir(deepglass)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        getattr(deepglass, "trian")  # noqa: B009  # the name is unknown to pyright too


def test_commands_have_these_flags_and_few():
    found = flags()
    assert {name: found[name] for name in FLAGS} == FLAGS
    assert len(set().union(*found.values())) <= MOST_FLAGS


def test_import_loads_nothing_heavy():
    assert said(f"import sys, deepglass; deepglass.__version__; dir(deepglass); {LOADED}")[-1] == "[]"


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"]], ids=" ".join)
def test_help_loads_nothing_heavy(words: list[str]):
    code = f"""
import sys
sys.argv = ["deepglass", *{words!r}]
from deepglass.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
{LOADED}
"""
    lines = said(code)
    assert lines[-1] == "[]"
    assert any("Usage" in line for line in lines)


def test_the_help_names_every_field_and_option():
    told = {words.partition(":")[0].split()[-1]: words for words in re.split(r"[;.] ", "recipe " + FIELDS)}
    named = set(re.findall(r"[a-z_]+", FIELDS.partition("--set: ")[2].partition(". ")[0]))
    assert named == set(KINDS)
    for family, entry in CATALOGUE.items():
        assert set(told[family].partition(": ")[2].split()) == set(entry.options())
