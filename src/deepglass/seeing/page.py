"""The parts of a page: elements that escape whatever they are given, sections, tables, definitions, a strict document.

Markup is made by `tag` alone, so that nothing out of a data set (a column named "<script>") can become an element. The
document allows itself no script, no outside address, and no style but its own, named by its hash.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Iterable, Sequence
from importlib import resources

from deepglass.drawing.palette import css_variables

VOID = {"meta", "img", "br"}
UNFIT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


class Markup(str):
    """Text that is markup already, made by `tag`; any other text is escaped."""

    __slots__ = ()


Content = str | Markup | int | float | None


def tag(name: str, *children: Content, **attributes: str | None) -> Markup:
    """One element. None is left out; `class_`, `for_` stand for attributes that Python has words for.

    >>> tag("p", "a < b", class_="small")
    '<p class="small">a &lt; b</p>'
    """
    inside = join(*children)
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(clean(value), quote=True)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{given}>" if name in VOID else f"<{name}{given}>{inside}</{name}>")


def join(*children: Content) -> Markup:
    """Elements and escaped texts one after the other."""
    return Markup("".join(_escaped(child) for child in children if child is not None))


def _escaped(child: Content) -> str:
    return str(child) if isinstance(child, Markup) else html.escape(clean(str(child)), quote=False)


def clean(text: str) -> str:
    """Without the control characters and lone surrogates that no HTML file may hold.

    >>> clean("bell" + chr(7))
    'bell�'
    """
    return UNFIT.sub("�", text)


def section(title: str, *children: Content, note: str | None = None) -> Markup | None:
    """A titled part of the page; nothing where there is nothing to show."""
    body = join(*children)
    if not body:
        return None
    name = "".join(letter if letter.isalnum() else "-" for letter in title.lower())
    lead = tag("p", note, class_="note") if note else None
    return tag("section", tag("h2", title, id=name), lead, body, aria_labelledby=name)


def table(heads: Sequence[str], rows: Iterable[Sequence[Content]], *, caption: str, numbers: int = 0) -> Markup:
    """Rows under heads, the last `numbers` columns aligned as numbers; scrolls sideways where it is too wide."""
    first = len(heads) - numbers

    def kind(place: int) -> str | None:
        return "number" if place >= first else None

    top = join(*(tag("th", head, scope="col", class_=kind(place)) for place, head in enumerate(heads)))
    body = [
        join(
            tag("th", row[0], scope="row"),
            *(tag("td", cell, class_=kind(place)) for place, cell in enumerate(row[1:], start=1)),
        )
        for row in rows
    ]
    held = tag("table", tag("caption", caption), tag("thead", tag("tr", top)), tag("tbody", *(map(_row, body))))
    return tag("div", held, class_="wide", tabindex="0", role="region", aria_label=caption)


def _row(cells: Markup) -> Markup:
    return tag("tr", cells)


def facts(pairs: Iterable[tuple[str, Content]], *, class_: str = "facts") -> Markup | None:
    """Terms and what they are; a pair without a value is left out."""
    shown = [tag("div", tag("dt", term), tag("dd", value)) for term, value in pairs if value not in (None, "")]
    return tag("dl", *shown, class_=class_) if shown else None


def figure(drawing: str | None, caption: str | None = None) -> Markup | None:
    """An SVG text that we drew ourselves, with a line below it."""
    if not drawing:
        return None
    return tag("figure", Markup(drawing), tag("figcaption", caption) if caption else None)


def picture(png: str, said: str) -> Markup:
    """A PNG in base64."""
    return tag("img", src=f"data:image/png;base64,{png}", alt=said)


def code(text: str) -> Markup:
    """Lines to copy."""
    return tag("pre", tag("code", text), tabindex="0")


def kinds() -> str:
    """The colors of the kinds of operations, as variables for both grounds."""
    light, dark = css_variables(), css_variables(dark=True)
    return f":root {{{light}}}\n@media (prefers-color-scheme: dark) {{ :root {{{dark}}} }}\n"


def document(title: str, *body: Content) -> str:
    """The whole file: offline, without scripts, for any width, for light and dark, for paper."""
    style = resources.files("deepglass.seeing").joinpath("report.css").read_text(encoding="utf-8") + kinds()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name_="color-scheme", content="light dark"),
        tag("meta", name_="referrer", content="no-referrer"),
        tag("title", title),
        tag("style", Markup(style)),
    )
    return f"<!doctype html>\n{tag('html', head, tag('body', tag('main', *body)), lang='en')}\n"
