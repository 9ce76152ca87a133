"""The tools that keep the house see a breach: each is planted in a small house of its own."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

TOOLS = Path(__file__).resolve().parent.parent / "tools"


def tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"tool_{name}", TOOLS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # A dataclass looks its own module up by name.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


order, budget, pages = tool("order"), tool("budget"), tool("pages")

PAGE = """# A house
```
src/deepglass/
  __init__.py            the public names
  errors.py              the errors

  data/                  what?
    schema.py  split.py  two files on a line
  models/                which?
    mlp.py               a family

  seeing/                why?
    layout.py            places
    report.py            a page

  cli.py                 the verbs
```
"""
HOUSE = {
    "__init__.py": "from deepglass.cli import main",
    "errors.py": "import sys",
    "data/__init__.py": "",
    "data/schema.py": "from deepglass.errors import nearest\nfrom deepglass import __version__",
    "data/split.py": "from . import schema",
    "models/__init__.py": "from deepglass.models.mlp import Mlp",
    "models/mlp.py": "from deepglass.data import split, schema",
    "seeing/__init__.py": "",
    "seeing/layout.py": "import deepglass.errors",
    "seeing/report.py": "from deepglass.models import CATALOGUE\nfrom deepglass.seeing import layout",
    "cli.py": "from .seeing.report import write",
}


def build(folder: Path, changes: dict[str, str]) -> Path:
    package = folder / "deepglass"
    for name, text in (HOUSE | changes).items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text, encoding="utf-8")
    return package


def test_listing_is_read_in_order():
    assert order.parse(PAGE) == (
        "__init__.py", "errors.py", "data/schema.py", "data/split.py", "models/mlp.py",
        "seeing/layout.py", "seeing/report.py", "cli.py",
    )  # fmt: skip


def test_a_house_in_order_has_no_fault(tmp_path: Path):
    assert order.faults(build(tmp_path, {}), PAGE) == []


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"data/images.py": ""}, "data/images.py: not in the listing"),
        ({"tuning/__init__.py": ""}, "tuning/__init__.py: not in the listing"),
        ({"errors.py": "from deepglass.data.schema import Data"}, "errors.py:1: imports data/schema.py"),
        ({"data/schema.py": "import torch\nfrom .split import x"}, "data/schema.py:2: imports data/split.py"),
        ({"data/schema.py": "def f():\n    from ..models import mlp"}, "data/schema.py:2: imports models/mlp.py"),
        (
            {"data/split.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import deepglass.models.mlp"},
            "data/split.py:3: imports models/mlp.py",
        ),
        ({"models/mlp.py": "from deepglass.models import CATALOGUE"}, "models/mlp.py:1: imports models/__init__.py"),
        ({"cli.py": "from deepglass import train"}, "cli.py:1: imports a public name"),
    ],
)
def test_a_planted_fault_of_order_is_found(tmp_path: Path, changes: dict[str, str], fault: str):
    assert any(found.startswith(fault) for found in order.faults(build(tmp_path, changes), PAGE))


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("  cli.py    ", "  cli.py  door.py    ", "door.py: listed, and no such file"),
        ("  cli.py    ", "  cli.py  errors.py    ", "errors.py: listed twice"),
    ],
)
def test_a_planted_fault_of_the_listing_is_found(tmp_path: Path, old: str, new: str, fault: str):
    assert any(found.startswith(fault) for found in order.faults(build(tmp_path, {}), PAGE.replace(old, new)))


def test_budget_finds_what_is_too_long_or_named_for_nothing(tmp_path: Path):
    source = tmp_path / "src" / "deepglass"
    source.mkdir(parents=True)
    body = "def f():\n" + "    x = 1\n" * 39
    (source / "fits.py").write_text(body + "\n" * 260)
    assert budget.breaches(budget.measure_all(tmp_path)) == []
    (source / "long.py").write_text("\n" * 301)
    (source / "deep.py").write_text("class A:\n    async " + body.replace("\n", "\n    ") + "    x = 1\n")
    (source / "utils.py").write_text("")
    assert [found.split(". Next")[0] for found in budget.breaches(budget.measure_all(tmp_path))] == [
        "src/deepglass/deep.py: f() has 41 lines, of 40",
        "src/deepglass/long.py: 301 lines, of 300",
        "src/deepglass/utils.py: a name that says nothing",
    ]


def test_budget_finds_a_floor_too_large_or_without_a_budget(tmp_path: Path):
    floor = tmp_path / "src" / "deepglass" / "tracing"
    floor.mkdir(parents=True)
    files, rest = divmod(budget.FLOOR_LINES["tracing"], 300)
    for number in range(files):
        (floor / f"part_{number}.py").write_text("x = 1\n" * 300)
    (floor / "rest.py").write_text("x = 1\n" * rest)
    (floor / "told.py").write_text('"""What\nis said."""\n\n# and why\n')
    assert budget.breaches(budget.measure_all(tmp_path)) == []
    (floor / "last.py").write_text("x = 1\n")
    assert ["tracing: " in found for found in budget.breaches(budget.measure_all(tmp_path))] == [True]
    (floor / "last.py").unlink()
    (tmp_path / "src" / "deepglass" / "attic").mkdir()
    (tmp_path / "src" / "deepglass" / "attic" / "box.py").write_text("x = 1\n")
    assert ["attic: " in found for found in budget.breaches(budget.measure_all(tmp_path))] == [True]


RECORDED = {
    "about": {"date": "2026-11-20", "torch": "2.13.0"},
    "figures": {
        "wine": {"mean": {"ours": 0.98765, "trees": 1}, "word": "a|b"},
        "iris": {"mean": {"ours": 0.5, "trees": 2}, "word": ""},
    },
}


def test_pages_write_tables_of_measurements_and_keep_the_rest(tmp_path: Path):
    (tmp_path / "scores.json").write_text(json.dumps(RECORDED), encoding="utf-8")
    opening = "Before\n<!-- table: scores.json ours=mean.ours mean.trees word -->\n"
    made = pages.rewritten(f"{opening}stale\n<!-- end -->\nAfter\n", tmp_path)
    assert made == (
        f"{opening}|  | ours | mean.trees | word |\n| --- | ---: | ---: | ---: |\n"
        "| wine | 0.9877 | 1 | a\\|b |\n| iris | 0.5 | 2 |  |\n\n"
        "Measured with date 2026-11-20, torch 2.13.0.\n<!-- end -->\nAfter\n"
    )
    assert pages.rewritten(made, tmp_path) == made


def test_pages_write_a_single_row_and_refuse_a_path_that_leads_nowhere():
    step = {"about": {"torch": "2.13.0"}, "figures": {"ratio": 1.0234, "pairs": [1, 2]}}
    assert pages.table(step, ["times=ratio"]).startswith("| times |\n| --- |\n| 1.023 |\n")
    with pytest.raises(SystemExit, match="no 'ratios' in ratio, pairs"):
        pages.table(step, ["ratios"])


def test_pages_show_what_a_command_prints():
    made = pages.rewritten("<!-- output: deepglass --help -->\n<!-- end -->\n")
    assert "```\n$ deepglass --help\n" in made
    assert " train " in made


def test_pages_refuse_a_figure_that_nothing_measured(tmp_path: Path):
    with pytest.raises(SystemExit, match=r"no gone\.json"):
        pages.rewritten("<!-- table: gone.json -->\n<!-- end -->", tmp_path)
