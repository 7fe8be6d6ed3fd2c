"""The tree of errors: as it is drawn, and what its errors say."""

from __future__ import annotations

import builtins
import re

import pytest

from rsretrieve import errors
from rsretrieve.errors import RsretrieveError, TileError

ALL = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, RsretrieveError)
}


def drawn_tree():
    """Name, parent and builtin of every error, off the drawing at the top of the module."""
    parents = ["RsretrieveError"]
    yield "RsretrieveError", "Exception", None
    for line in errors.__doc__.splitlines():
        branch = re.match(r"    ([│ ]   )*[├└]── (\w+) *(\((\w+)\))?", line)
        if branch:
            depth = line.index("── ") // 4
            name, builtin = branch[2], branch[4]
            parents[depth:] = [name]
            yield name, parents[depth - 1], builtin


DRAWN = list(drawn_tree())


def test_every_error_is_drawn_once():
    assert sorted(name for name, _, _ in DRAWN) == sorted(ALL)
    assert len(DRAWN) > 20


@pytest.mark.parametrize(("name", "parent", "builtin"), DRAWN, ids=[name for name, _, _ in DRAWN])
def test_an_error_inherits_what_is_drawn(name, parent, builtin):
    bases = [base.__name__ for base in ALL[name].__bases__]
    assert bases == ([parent] if builtin is None else [parent, builtin])
    assert builtin is None or hasattr(builtins, builtin)


@pytest.mark.parametrize("kind", [k for k in ALL.values() if k is not TileError])
def test_an_error_says_its_message_and_keeps_its_hint(kind):
    error = kind("what went wrong", hint="what to do")
    assert str(error) == error.message == "what went wrong"
    assert error.args == ("what went wrong",)
    assert error.hint == "what to do"
    assert kind("message").hint == ""


def test_a_tiles_error_names_the_tile_and_the_reason():
    error = TileError("forest/a.png", "no such file")
    assert str(error) == "forest/a.png: no such file"
    assert (error.tile_id, error.reason, error.hint) == ("forest/a.png", "no such file", "")


def test_errors_are_caught_by_their_root_and_by_the_builtin_they_are():
    with pytest.raises(OSError, match=r"^a: b$"):
        raise TileError("a", "b")
    with pytest.raises(RsretrieveError, match=r"^a: b$"):
        raise TileError("a", "b")
