"""Writes the parts of the pages that the product itself makes: `make docs`. No figure in a page is typed by hand.

A part stands between two comments, which Markdown does not show. Two kinds:

    <!-- table: bench/results/tables.json ours=mean.deepglass linear=mean.linear seconds -->
    <!-- end -->

        what a bench script recorded, {"about": {...}, "figures": {...}}: a row for each of the figures, a column for
        each word, TITLE=PATH or PATH; a path leads into a row, its steps parted by dots.

    <!-- output: deepglass train --help -->
    <!-- end -->

        what a command of ours prints.

`python tools/pages.py --check` changes nothing and fails where a page is not what would be written.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("README.md", "docs/*.md")
PART = re.compile(r"(<!-- (table|output): (.+?) -->\n).*?(<!-- end -->)", re.DOTALL)


def stop(facts: str, next_move: str) -> None:
    """End with the facts and the next move."""
    sys.exit(f"tools/pages.py: {facts} Next: {next_move}.")


def table(recorded: dict[str, Any], columns: list[str]) -> str:
    """Figures as a Markdown table, and below it what they were measured with."""
    figures, about = recorded["figures"], recorded["about"]
    titled = [column.partition("=")[::2] if "=" in column else (column, column) for column in columns]
    rows = {name: row for name, row in figures.items() if isinstance(row, dict)}
    cells = [[name, *(cell(row, path) for _, path in titled)] for name, row in rows.items()]
    heads = ["", *(title for title, _ in titled)]
    if not rows:
        cells, heads = [[cell(figures, path) for _, path in titled]], heads[1:]
    lines = [heads, ["---"] + ["---:"] * (len(heads) - 1), *cells]
    drawn = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return f"{drawn}\n\nMeasured with " + ", ".join(f"{name} {value}" for name, value in about.items()) + ".\n"


def cell(row: Any, path: str) -> str:
    """The value that a path leads to, numbers to four digits."""
    value = row
    for word in path.split("."):
        if not isinstance(value, dict) or word not in value:
            known = ", ".join(value) if isinstance(value, dict) else repr(value)
            stop(f"'{path}' leads nowhere: no '{word}' in {known}.", "mend the path in the page")
        value = value[word]
    text = (f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}") if isinstance(value, float) else str(value)
    return text.replace("|", r"\|").replace("\n", " ")


def output(command: str) -> str:
    """What one of our commands prints, eighty columns wide, without color."""
    words = shlex.split(command)
    if words[0] != "deepglass":
        stop(f"'{command}' is not a command of ours.", "begin it with deepglass")
    plain = {"COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb", "PYTHONUTF8": "1"}
    done = subprocess.run(
        [sys.executable, "-m", *words],
        env=os.environ | plain, capture_output=True, text=True, encoding="utf-8", cwd=ROOT,
    )  # fmt: skip
    if done.returncode:
        stop(f"'{command}' failed: {done.stderr.strip()}", "run it by hand")
    lines = [line.rstrip() for line in done.stdout.strip("\n").splitlines()]
    return "\n".join(["```", f"$ {command}", *lines, "```", ""])


def rewritten(page: str, root: Path = ROOT) -> str:
    """A page with each of its parts made anew."""

    def made(part: re.Match[str]) -> str:
        opening, kind, source, closing = part.groups()
        if kind == "output":
            return opening + output(source) + closing
        name, *columns = source.split()
        if not (root / name).is_file():
            stop(f"no {name}.", "make bench, or run the one script that records it")
        return opening + table(json.loads((root / name).read_text(encoding="utf-8")), columns) + closing

    return PART.sub(made, page)


def main(check: bool) -> int:
    """Write every page, or only say which would change."""
    stale = []
    for path in sorted(path for pattern in PAGES for path in ROOT.glob(pattern)):
        page = path.read_text(encoding="utf-8")
        made = rewritten(page)
        if made != page:
            stale.append(path.relative_to(ROOT).as_posix())
            if not check:
                path.write_text(made, encoding="utf-8", newline="\n")
    print(f"{'stale' if check else 'written'}: {', '.join(stale) or 'none'}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main(check="--check" in sys.argv[1:]))
