"""Pictures as files: valid for hostile names, the same bytes twice, legible on light and dark pages, tellable apart."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from deepglass.drawing.lettering import clipped, plain, short_number, text_width
from deepglass.drawing.palette import COLORS, KINDS, PAGE, contrast, css_variables
from deepglass.drawing.png import as_png
from deepglass.drawing.scene import Box, Dot, Group, Label, Line, Polygon, Scene, Shape, Style
from deepglass.drawing.svg import arrowhead, as_html, as_page, as_svg, shortened
from deepglass.drawing.written import as_text
from deepglass.errors import StorageError

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = [
    "<script>alert(1)</script>",
    "\x00\x07\x1b[31m",
    "a\"b'c&d",
    "🧠 ∂L/∂w",
    "]]>",
    "\ud800",
    "x" * 500,
    "\ufffe",
    "",
]
# Machado, Oliveira & Fernandes 2009, severity 1, on linear RGB.
EYES = {
    "common": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]]
    ),
}


def scene(name: str = "a net") -> Scene:
    """One of each shape, all of them with this name wherever there is text."""
    shapes: tuple[Shape, ...] = (
        Box(name, 10, 10, 60, 40, Style("linear", "soft"), words=name),
        Polygon(name, ((80, 10), (120, 10), (110, 50)), Style("convolution", "solid"), name),
        Dot("dot", 150, 30, 15, Style("negative", "none", 2.0, 0.5, (3.0, 2.0)), name),
        Line("line", ((10, 80), (60, 60), (100, 100), (150, 80)), Style("muted"), curved=True, arrow=True, words=name),
        Group(
            name,
            (Box("in", 10, 100, 30, 20, Style("loss", "soft")), Label(12, 114, name)),
            name,
            (Label(12, 114, "shut"),),
        ),
        Label(100, 114, name, 11, "accent", "middle", bold=True, mono=True, turn=-30),
    )
    return Scene(200, 140, shapes, name, name, (name, "second line"))


def lightness(color: str) -> np.ndarray:
    """Linear RGB of "#rrggbb"."""
    parts = np.array([int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def oklab(linear: np.ndarray) -> np.ndarray:
    """Ottosson 2020."""
    first = np.array([[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
                      [0.0883024619, 0.2817188376, 0.6299787005]])  # fmt: skip
    then = np.array([[0.2104542553, 0.793617785, -0.0040720468], [1.9779984951, -2.428592205, 0.4505937099],
                     [0.0259040371, 0.7827717662, -0.808675766]])  # fmt: skip
    return then @ np.cbrt(np.clip(first @ linear, 0, 1))


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("standalone", [True, False])
def test_any_name_gives_valid_xml_with_its_words_kept_as_words(name: str, standalone: bool) -> None:
    root = ElementTree.fromstring(as_svg(scene(name), standalone=standalone))
    texts = [element.text or "" for element in root.iter(f"{SVG}text")]
    assert texts.count(plain(name)) == 2
    assert all(element.text is None or "alert" not in element.text for element in root.iter(f"{SVG}script"))


@pytest.mark.parametrize("name", HOSTILE)
def test_ids_are_plain_and_differ(name: str) -> None:
    root = ElementTree.fromstring(as_svg(scene(name), name="p"))
    ids = [element.attrib["id"] for element in root.iter() if "id" in element.attrib]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+", one) for one in ids)
    assert all(one == "p" or one.startswith("p-") for one in ids)


def test_the_same_scene_gives_the_same_bytes() -> None:
    assert as_svg(scene()) == as_svg(scene())
    assert as_html(scene()) == as_html(scene())


def test_it_can_be_heard() -> None:
    root = ElementTree.fromstring(as_svg(scene(), standalone=False, name="p"))
    assert root.attrib["role"] == "img"
    named = {element.attrib["id"]: element.text for element in root if element.tag in (f"{SVG}title", f"{SVG}desc")}
    assert [named[one] for one in root.attrib["aria-labelledby"].split()] == ["a net", "a net"]


def test_an_embedded_picture_has_nothing_a_strict_policy_refuses_and_follows_its_page() -> None:
    root = ElementTree.fromstring(as_svg(scene(), standalone=False))
    assert not [element.tag for element in root.iter() if element.tag in (f"{SVG}style", f"{SVG}script")]
    assert not [element for element in root.iter() if "style" in element.attrib]
    colors = {element.attrib[key] for element in root.iter() for key in ("fill", "stroke") if key in element.attrib}
    assert all(color == "none" or re.fullmatch(r"var\(--[\w-]+, #[0-9a-f]{6}\)", color) for color in colors)
    declared = css_variables()
    wanted = {re.match(r"var\((--[\w-]+)", color).group(1) for color in colors - {"none"}}  # type: ignore[union-attr]
    assert all(f"{name}:" in declared or name.removeprefix("--") in PAGE for name in wanted)


def test_a_file_alone_is_painted_without_variables_and_turned_over_where_it_is_dark() -> None:
    text = as_svg(scene())
    root = ElementTree.fromstring(text)
    painted = [element.attrib.get("fill", "") for element in root.iter()]
    assert not any("var(" in color for color in painted)
    style = next(root.iter(f"{SVG}style")).text or ""
    assert "prefers-color-scheme:dark" in style
    for color in ("linear", "loss"):
        assert f'[fill="{COLORS[color].light_soft}"]{{fill:{COLORS[color].dark_soft}}}' in style


def test_no_color_means_two_things_on_a_dark_page() -> None:
    turned: dict[str, str] = {}
    for color in COLORS.values():
        for light, dark in ((color.light, color.dark), (color.light_soft, color.dark_soft)):
            assert turned.setdefault(light, dark) == dark


def test_a_foldable_group_opens_by_key_and_click_in_a_file_of_its_own_alone() -> None:
    root = ElementTree.fromstring(as_svg(scene()))
    (fold,) = [element for element in root.iter() if "aria-expanded" in element.attrib]
    assert (fold.attrib["role"], fold.attrib["tabindex"], fold.attrib["aria-label"]) == ("button", "0", "a net")
    opened, closed = [part for part in fold if "data-fold" in part.attrib]
    assert (opened.attrib.get("display"), closed.attrib.get("display")) == (None, "none")
    assert "shut" not in as_svg(scene(), standalone=False)


def test_text_can_be_read_in_every_color_on_every_ground() -> None:
    grounds = {dark: COLORS["paper"].on(dark) for dark in (False, True)}
    for dark, paper in grounds.items():
        written = [role for role in COLORS if role not in ("line", "paper")]
        assert min(contrast(COLORS[role].on(dark), paper) for role in written) >= 4.5
        soft = [COLORS[role].on(dark, "soft") for role in (*KINDS, "line", "accent", "positive", "negative", "warning")]
        assert min(contrast(COLORS["ink"].on(dark), ground) for ground in soft) >= 4.5
        assert min(contrast(COLORS["muted"].on(dark), ground) for ground in soft) >= 4.5


@pytest.mark.parametrize("eye", EYES)
@pytest.mark.parametrize("dark", [False, True])
def test_the_kinds_of_a_network_differ_for_every_eye(eye: str, dark: bool) -> None:
    seen = [oklab(EYES[eye] @ lightness(COLORS[kind].on(dark))) for kind in KINDS[:10]]
    assert min(np.linalg.norm(one - other) for one, other in itertools.combinations(seen, 2)) > 0.055
    signs = [oklab(EYES[eye] @ lightness(COLORS[sign].on(dark))) for sign in ("positive", "negative")]
    assert np.linalg.norm(signs[0] - signs[1]) > 0.1


@pytest.mark.parametrize("dark", [False, True])
def test_a_png_has_its_size_and_its_colors(tmp_path: Path, dark: bool) -> None:
    path = as_png(scene(), tmp_path / "x.png", scale=2.0, dark=dark)
    with Image.open(path) as image:
        assert image.size == (400, 280)
        paper = tuple(int(COLORS["paper"].on(dark)[at : at + 2], 16) for at in (1, 3, 5))
        assert image.convert("RGB").getpixel((2, 2)) == paper
        inside = tuple(int(COLORS["linear"].on(dark, "soft")[at : at + 2], 16) for at in (1, 3, 5))
        assert image.convert("RGB").getpixel((80, 60)) == inside


@pytest.mark.parametrize("name", HOSTILE)
def test_a_png_takes_any_name(tmp_path: Path, name: str) -> None:
    as_png(scene(name), tmp_path / "x.png", scale=0.5)


def test_a_huge_picture_is_made_smaller_rather_than_refused(tmp_path: Path) -> None:
    with Image.open(as_png(Scene(40_000, 10, (), "long", ""), tmp_path / "x.png", scale=2.0)) as image:
        assert image.size[0] == 16_000


def test_a_png_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be written"):
        as_png(scene(), tmp_path / "missing" / "x.png")


def test_as_text_is_for_a_terminal() -> None:
    assert as_text(scene("\x1b[31mred")).splitlines() == ["�[31mred", "�[31mred", "", "�[31mred", "second line"]


def test_a_page_is_one_document() -> None:
    page = as_page(scene("<b>"))
    assert page.count("<svg ") == 1 and "http" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "<b>" not in page


@pytest.mark.parametrize("outline", [0.5, 1.0, 6.0])
def test_a_line_ends_within_its_arrowhead(outline: float) -> None:
    points = ((0.0, 0.0), (30.0, 40.0))
    tip, left, right = arrowhead(points, outline)
    end = shortened(points, outline)[-1]
    assert tip == points[-1]
    assert np.linalg.norm(np.subtract(tip, end)) < np.linalg.norm(np.subtract(tip, np.add(left, right) / 2))
    assert np.dot(np.subtract(left, right), points[-1]) == pytest.approx(0, abs=1e-9)


def test_a_text_is_cut_to_its_room() -> None:
    for text in ("encoder.layer.10.attention", "mmmmmmmmmmmm", "日本語日本語日本語"):
        assert text_width(clipped(text, 60.0), 12.0) <= 60.0 < text_width(text, 12.0)


@pytest.mark.parametrize("value", [0.0, 1.005, -0.2, 99.994, 123.456, 4999.6, 99_999.4, 1e-3, 3e17, -7e-9])
def test_a_short_number_is_right_to_its_digits(value: float) -> None:
    text = short_number(value)
    assert len(text) <= 7
    assert float(text.replace("−", "-")) == pytest.approx(value, rel=0.05, abs=0.005)
