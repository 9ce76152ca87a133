"""The book order, kept: every file stands once in the listing of docs/house.md and imports only files before it.

Two rules, read off the listing itself, so that there is one place to edit:

1. the listing and the package name the same files;
2. an import points to a file listed earlier (inside `if TYPE_CHECKING:` too). A folder's `__init__.py` comes after the
   folder's files; the package's own is exempt, being the table of all.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FENCE = re.compile(r"```\n(src/deepglass/\n.*?)```", re.DOTALL)


def parse(page: str) -> tuple[str, ...]:
    """The files of a page's listing in reading order, as paths inside the package.

    Two spaces stand before the package's files and folders, four before a folder's files.
    """
    fenced = FENCE.search(page)
    if fenced is None:
        sys.exit("docs/house.md: no fenced block that begins with src/deepglass/. Next: put the listing back.")
    files: list[str] = []
    folder = ""
    for line in fenced[1].splitlines()[1:]:
        words = line.split()
        depth = len(line) - len(line.lstrip())
        if words and depth == 2:
            folder = words[0] if words[0].endswith("/") else ""
        names = _leading_files(words[1:] if folder and depth == 2 else words)
        files += [folder + name for name in names]
    return tuple(files)


def _leading_files(words: list[str]) -> list[str]:
    end = next((place for place, word in enumerate(words) if not word.endswith(".py")), len(words))
    return words[:end]


def imports(package: Path, file: str) -> Iterator[tuple[int, str]]:
    """Each import of the package's own files: (line, the file imported)."""
    source = (package / file).read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(source, filename=file)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _resolved(package, node.lineno, alias.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            here = [package.name, *Path(file).parent.parts]
            base = here[: len(here) - node.level + 1] if node.level else []
            base += node.module.split(".") if node.module else []
            for alias in node.names:
                yield from _resolved(package, node.lineno, [*base, alias.name])


def _resolved(package: Path, line: int, dotted: list[str]) -> Iterator[tuple[int, str]]:
    # The last word may be a module or a name inside one: the longest path that is a file is what is imported.
    if dotted[:1] != [package.name] or dotted == [package.name, "__version__"]:
        return
    for end in range(len(dotted), 0, -1):
        path = "/".join(dotted[1:end])
        for file in [f"{path}.py", f"{path}/__init__.py"] if path else ["__init__.py"]:
            if (package / file).is_file():
                yield line, file
                return


def places(files: tuple[str, ...]) -> dict[str, int]:
    """Each file's place in the book; a folder's `__init__.py` right after the folder's last file."""
    order = {file: 2 * place for place, file in enumerate(files)}
    for file in files:
        folder, slash, _ = file.rpartition("/")
        if slash:
            order[f"{folder}/__init__.py"] = max(order.get(f"{folder}/__init__.py", 0), order[file] + 1)
    return order


def unlisted(package: Path, listing: tuple[str, ...]) -> list[str]:
    """Rule 1: files that only the folder or only the listing has, or that are listed twice."""
    there = {path.relative_to(package).as_posix() for path in package.rglob("*.py")}
    order = places(listing)
    twice = sorted({file for file in listing if listing.count(file) > 1})
    return [
        *(f"{file}: not in the listing. Next: give it a line in docs/house.md" for file in sorted(there - set(order))),
        *(f"{file}: listed, and no such file. Next: take its line out" for file in sorted(set(listing) - there)),
        *(f"{file}: listed twice. Next: leave the one line that is right" for file in twice),
    ]


def upward(package: Path, listing: tuple[str, ...]) -> list[str]:
    """Rule 2: imports of a file that comes later, or of the public names from inside."""
    order = places(listing)
    faults = []
    for file in order:
        if file == "__init__.py" or not (package / file).is_file():
            continue
        for line, target in sorted(set(imports(package, file))):
            if target == "__init__.py":
                faults.append(f"{file}:{line}: imports a public name. Next: import it from the file it lives in")
            elif target in order and order[target] >= order[file]:
                faults.append(f"{file}:{line}: imports {target}, which comes later. Next: move the file or the code")
    return faults


def faults(package: Path, page: str) -> list[str]:
    """Every breach of the two rules."""
    listing = parse(page)
    return [*unlisted(package, listing), *upward(package, listing)]


def main() -> int:
    """Check this checkout."""
    package = ROOT / "src" / "deepglass"
    page = (ROOT / "docs" / "house.md").read_text(encoding="utf-8")
    found = faults(package, page)
    print("\n".join(found) or f"book order kept: {len(parse(page))} files")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
