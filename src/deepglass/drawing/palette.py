"""The colors of every picture: one for each role, on a light and on a dark page.

The ten kinds that make up a network differ for every eye: no two are closer than 0.055 in OKLab (Ottosson 2020), also
as seen with protanopia, deuteranopia or tritanopia (Machado, Oliveira & Fernandes 2009). The kinds that only move
numbers about are gray. Each color stands at least 4.5 : 1 from the page, so that it can be written in. Color never
speaks alone: a shape has its words, a negative weight its dash.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Tone = Literal["full", "soft"]


@dataclass(frozen=True)
class Color:
    """A role's color on a light and on a dark page, and the tint of each that fills a soft shape."""

    light: str
    dark: str
    light_soft: str
    dark_soft: str

    def on(self, dark: bool, tone: Tone = "full") -> str:
        """The color as "#rrggbb"."""
        if tone == "soft":
            return self.dark_soft if dark else self.light_soft
        return self.dark if dark else self.light


LIGHT_PAPER, DARK_PAPER = "#ffffff", "#13181b"
LIGHT_TINT, DARK_TINT = 0.10, 0.16


def blend(color: str, ground: str, share: float) -> str:
    """`share` of a color and the rest of what lies under it.

    >>> blend("#000000", "#ffffff", 0.5)
    '#808080'
    """
    pairs = zip(_parts(color), _parts(ground), strict=True)
    return "#" + "".join(f"{round(share * over + (1 - share) * under):02x}" for over, under in pairs)


def _parts(color: str) -> tuple[int, ...]:
    return tuple(int(color[place : place + 2], 16) for place in (1, 3, 5))


def _color(light: str, dark: str) -> Color:
    return Color(light, dark, blend(light, LIGHT_PAPER, LIGHT_TINT), blend(dark, DARK_PAPER, DARK_TINT))


COLORS: dict[str, Color] = {
    "linear": _color("#024e96", "#408ced"),
    "convolution": _color("#047e98", "#56c1bd"),
    "attention": _color("#8261c8", "#d7c4ff"),
    "recurrent": _color("#7b1a5a", "#b877b3"),
    "embedding": _color("#825602", "#debb47"),
    "normalization": _color("#127554", "#72e8ba"),
    "activation": _color("#902a2e", "#d37335"),
    "pooling": _color("#607e0f", "#ccfb97"),
    "dropout": _color("#565c89", "#a2a4f8"),
    "loss": _color("#bb3856", "#f58e89"),
    "arithmetic": _color("#4b565d", "#b3bdc3"),
    "reduction": _color("#4b565d", "#b3bdc3"),
    "shape": _color("#626b70", "#9aa5ab"),
    "indexing": _color("#626b70", "#9aa5ab"),
    "opaque": _color("#343b40", "#ccd4d8"),
    "other": _color("#626b70", "#9aa5ab"),
    "ink": _color("#1b2023", "#e6eaec"),
    "muted": _color("#626b70", "#9aa5ab"),
    "line": Color("#b9c1c5", "#4d585e", "#eef0f1", "#20272b"),
    "accent": _color("#0b6e8a", "#58b9d6"),
    "paper": Color(LIGHT_PAPER, DARK_PAPER, LIGHT_PAPER, DARK_PAPER),
    "positive": _color("#0a62ad", "#6db4f0"),
    "negative": _color("#b5471b", "#f0925f"),
    "warning": _color("#b3261e", "#ff8a80"),
}
KINDS = ("linear", "convolution", "attention", "recurrent", "embedding", "normalization", "activation", "pooling",
         "dropout", "loss", "arithmetic", "reduction", "shape", "indexing", "opaque", "other")  # fmt: skip
PAGE = ("ink", "muted", "line", "accent", "paper")
"""Roles whose variables a page already has; the others are called --scene-…, to meet no name of the page."""


def color_of(role: str) -> Color:
    """The color of a role; a role that is not known is drawn as "other".

    >>> color_of("linear").light, color_of("paper").on(dark=True)
    ('#024e96', '#13181b')
    """
    return COLORS.get(role, COLORS["other"])


def variable(role: str, tone: Tone = "full") -> str:
    """The name of the CSS variable that holds a role's color.

    >>> variable("ink"), variable("linear", "soft"), variable("???")
    ('--ink', '--scene-linear-soft', '--scene-other')
    """
    known = role if role in COLORS else "other"
    name = f"--{known}" if known in PAGE else f"--scene-{known}"
    return f"{name}-soft" if tone == "soft" else name


def css_variables(*, dark: bool = False) -> str:
    """The declarations that a page needs for embedded pictures to follow it: one line a role, full and soft.

    >>> print(css_variables(dark=True).splitlines()[0])
    --scene-linear: #408ced; --scene-linear-soft: #1a2b3d;
    """
    full = {role: f"{variable(role)}: {color.on(dark)}; " for role, color in COLORS.items() if role not in PAGE}
    soft = {role: f"{variable(role, 'soft')}: {color.on(dark, 'soft')};" for role, color in COLORS.items()}
    return "\n".join(full.get(role, "") + soft[role] for role in COLORS)


def luminance(color: str) -> float:
    """How bright a color is, from 0 to 1 (the relative luminance of WCAG 2.2).

    >>> luminance("#000000"), luminance("#ffffff")
    (0.0, 1.0)
    """
    red, green, blue = (
        part / 255 / 12.92 if part <= 10 else ((part / 255 + 0.055) / 1.055) ** 2.4 for part in _parts(color)
    )
    return round(0.2126 * red + 0.7152 * green + 0.0722 * blue, 12)


def contrast(one: str, other: str) -> float:
    """The contrast of two colors, from 1 to 21 (WCAG 2.2): 4.5 is wanted of text, 3 of shapes.

    >>> contrast("#ffffff", "#000000")
    21.0
    """
    low, high = sorted((luminance(one), luminance(other)))
    return round((high + 0.05) / (low + 0.05), 2)
