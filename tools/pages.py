"""Writes the parts of the pages that the product itself makes: `make docs`. No figure in a page is typed by hand.

A part stands between two comments, which Markdown does not show. Two kinds:

    <!-- table: bench/results/tables.json -->      a table of measurements, from the file that a bench script wrote:
    <!-- end -->                                   {"made": "with what, when", "columns": [...], "rows": [[...], ...]}

    <!-- output: deepglass train --help -->        what a command of ours prints
    <!-- end -->

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


def table(results: dict[str, Any]) -> str:
    """Measurements as a Markdown table, and below it what they were made with."""
    columns, rows = results["columns"], results["rows"]
    lines = [columns, ["---"] + ["---:"] * (len(columns) - 1), *rows]
    if any(len(line) != len(columns) for line in lines):
        sys.exit("tools/pages.py: a row is not as long as the columns. Next: mend the bench script that wrote it.")
    drawn = "\n".join("| " + " | ".join(str(cell).replace("|", r"\|") for cell in line) + " |" for line in lines)
    return f"{drawn}\n\n{results['made']}\n"


def output(command: str) -> str:
    """What one of our commands prints, eighty columns wide, without color."""
    words = shlex.split(command)
    if words[0] != "deepglass":
        sys.exit(f"tools/pages.py: '{command}' is not a command of ours. Next: begin it with deepglass.")
    plain = {"COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb", "PYTHONUTF8": "1"}
    done = subprocess.run(
        [sys.executable, "-c", "from deepglass.cli import main; main()", *words[1:]],
        env=os.environ | plain, capture_output=True, text=True, encoding="utf-8", cwd=ROOT,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"tools/pages.py: '{command}' failed: {done.stderr.strip()} Next: run it by hand.")
    lines = [line.rstrip() for line in done.stdout.strip("\n").splitlines()]
    return "\n".join(["```", f"$ {command}", *lines, "```", ""])


def rewritten(page: str, root: Path = ROOT) -> str:
    """A page with each of its parts made anew."""

    def made(part: re.Match[str]) -> str:
        opening, kind, source, closing = part.groups()
        if kind == "output":
            return opening + output(source) + closing
        path = root / source
        if not path.is_file():
            sys.exit(f"tools/pages.py: no {source}. Next: make bench, or the one script that writes it.")
        return opening + table(json.loads(path.read_text(encoding="utf-8"))) + closing

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
