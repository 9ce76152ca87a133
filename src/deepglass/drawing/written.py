"""A placed picture as text, for a terminal, a log, or a reader who sees none."""

from __future__ import annotations

import textwrap

from deepglass.drawing.lettering import plain
from deepglass.drawing.scene import Scene

WIDTH = 100


def as_text(scene: Scene) -> str:
    """The title, what the picture shows, and its lines in reading order; no color, nothing that moves a terminal.

    >>> print(as_text(Scene(10, 10, (), "Net", "Two layers.", ("fc1  4 → 8", "fc2  8 → 2"))))
    Net
    Two layers.
    <BLANKLINE>
    fc1  4 → 8
    fc2  8 → 2
    """
    about = [line for part in scene.description.splitlines() for line in textwrap.wrap(plain(part), WIDTH) or [""]]
    return "\n".join([plain(scene.title), *about, *([""] if scene.lines else []), *map(plain, scene.lines)])
