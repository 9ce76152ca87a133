"""The size budget, printed and kept: file <= 300 lines, function <= 40, each floor its own, no file named for nothing.

A file and a function are counted as they stand, since that is what a reader has before the eyes. A floor is counted in
lines of code, without docstrings, comments and blank lines: a budget must not reward saying less.
"""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILE_LINES, FUNCTION_LINES = 300, 40
# The files at the top of the package are the floor "". A floor that nears its budget is to be thought over, not raised.
FLOOR_LINES = {
    "": 1_200, "tracing": 2_800, "drawing": 4_800, "explaining": 2_900, "data": 5_000, "models": 4_000,
    "training": 3_600, "diagnosing": 2_600, "seeing": 2_800, "tuning": 1_000, "shipping": 1_500, "lessons": 4_000,
    "studio": 3_500,
}  # fmt: skip
FOLDERS = ("src", "tests", "tools", "bench", "examples")
NAMELESS = {"utils", "util", "helpers", "helper", "common", "misc", "core"}


@dataclass(frozen=True)
class Size:
    """One file's size and that of its longest function (0 where it has none)."""

    path: str
    lines: int
    longest: str
    longest_lines: int
    code: int


def measure(path: Path, root: Path) -> Size:
    """The size of a file."""
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source, filename=str(path))
    functions = [
        (node.name, (node.end_lineno or node.lineno) - node.lineno + 1)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    name, length = max(functions, key=lambda pair: pair[1], default=("", 0))
    lines = source.splitlines()
    return Size(path.relative_to(root).as_posix(), len(lines), name, length, code_lines(lines, tree))


def code_lines(lines: list[str], tree: ast.Module) -> int:
    """The lines that are neither blank, nor comment, nor part of a docstring."""
    told: set[int] = set()
    for node in ast.walk(tree):
        # A docstring, or the string after a constant that says what it is.
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            told.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return sum(
        bool(line.strip()) and not line.lstrip().startswith("#") and place not in told
        for place, line in enumerate(lines, start=1)
    )


def measure_all(root: Path) -> list[Size]:
    """Every Python file of the project."""
    return [measure(path, root) for folder in FOLDERS for path in sorted((root / folder).rglob("*.py"))]


def floors(sizes: list[Size]) -> dict[str, int]:
    """The lines of code of each floor of the package."""
    found: dict[str, int] = {}
    for size in sizes:
        if size.path.startswith("src/"):
            folders = size.path.split("/")[2:-1]
            floor = folders[0] if folders else ""
            found[floor] = found.get(floor, 0) + size.code
    return found


def breaches(sizes: list[Size]) -> list[str]:
    """What is over the budget, one sentence each."""
    found = []
    for size in sizes:
        if size.lines > FILE_LINES:
            found.append(f"{size.path}: {size.lines} lines, of {FILE_LINES}. Next: split it by what its parts are for")
        if size.longest_lines > FUNCTION_LINES:
            found.append(
                f"{size.path}: {size.longest}() has {size.longest_lines} lines, of {FUNCTION_LINES}. Next: part it"
            )
        if Path(size.path).stem in NAMELESS or NAMELESS & set(Path(size.path).parent.parts):
            found.append(f"{size.path}: a name that says nothing. Next: name it for what it holds or does")
    for floor, lines in floors(sizes).items():
        allowed = FLOOR_LINES.get(floor, 0)
        if lines > allowed:
            found.append(f"{floor or 'top'}: {lines:,} lines of code, of {allowed:,}. Next: take out what earns least")
    return found


def table(sizes: list[Size]) -> str:
    """The sizes of the package's files, and one line for the rest."""
    shown = [size for size in sizes if size.path.startswith("src/")]
    rows = [f"{size.lines:6}  {size.longest_lines:4}  {size.path.removeprefix('src/')}" for size in shown]
    counted = floors(sizes)
    kept = [f"{lines:6,} of {FLOOR_LINES.get(floor, 0):5,}  {floor or 'top'}" for floor, lines in counted.items()]
    rest = sum(size.code for size in sizes) - sum(counted.values())
    last = f"{sum(counted.values()):6,} lines of code in the package; {rest:,} around it"
    return "\n".join([" lines  longest function", *rows, "", *kept, last])


def main() -> int:
    """Print the table; 1 where the budget is broken."""
    sizes = measure_all(ROOT)
    print(table(sizes))
    found = breaches(sizes)
    print("\n".join(found) or "size budget kept")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
