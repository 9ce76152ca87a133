"""The tree of errors: what each promises its reader, and that the drawing at the top of the file is the tree."""

import re

import pytest

from deepglass import errors
from deepglass.errors import DeepglassError, ShapeError, TargetError, nearest


def descendants(root: type[DeepglassError]) -> list[type[DeepglassError]]:
    return [heir for child in root.__subclasses__() for heir in (child, *descendants(child))]


TREE = descendants(DeepglassError)


def drawn_parents() -> dict[str, str]:
    """Child -> parent, read off the drawing: four columns a level."""
    trail, parents = ["DeepglassError"], {}
    for line in (errors.__doc__ or "").splitlines():
        branch = re.match(r"^    ((?:│   |    )*)[├└]── (\w+)", line)
        if branch:
            depth = len(branch[1]) // 4 + 1
            trail = [*trail[:depth], branch[2]]
            parents[branch[2]] = trail[depth - 1]
    return parents


def test_the_drawing_is_the_tree():
    assert drawn_parents() == {heir.__name__: heir.__bases__[0].__name__ for heir in TREE}


def test_every_error_lives_in_one_file():
    assert {heir.__module__ for heir in TREE} == {"deepglass.errors"}


@pytest.mark.parametrize("kind", [DeepglassError, *TREE], ids=lambda kind: kind.__name__)
def test_every_error_has_a_next_move_of_its_own(kind: type[DeepglassError]):
    own = vars(kind).get("next_move", "")
    assert own.strip()
    assert not own.endswith("."), (
        "the move is a command or a clause; a command with a full stop fails when it is pasted"
    )
    others = [other.next_move for other in [DeepglassError, *TREE] if other is not kind]
    assert own not in others


@pytest.mark.parametrize("kind", [DeepglassError, *TREE], ids=lambda kind: kind.__name__)
def test_the_message_gives_the_facts_then_the_next_move(kind: type[DeepglassError]):
    assert str(kind("rows.csv: line 3 has 4 cells, of 5.")) == (
        f"rows.csv: line 3 has 4 cells, of 5. Next: {kind.next_move}"
    )
    assert str(kind("rows.csv: empty.", next="name another file")) == "rows.csv: empty. Next: name another file"


def test_one_word_catches_them_all_and_a_narrower_one_its_own():
    with pytest.raises(DeepglassError):
        raise TargetError("no such column.")
    assert issubclass(ShapeError, errors.ModelError)


def test_nearest_offers_the_close_and_else_the_known():
    assert nearest("momentun", ["momentum", "widths"]) == "'momentum'"
    assert nearest("survived", ["Survived", "Age"]) == "'Survived'"
    assert nearest("xyzzy", ["widths", "dropout"]) == "'widths', 'dropout'"
    assert nearest("xyzzy", [f"column_{n}" for n in range(40)]).endswith("… (40 in all)")
