"""Messages in Python name arguments that exist, in place of options of the commands."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator

import numpy as np
import pytest

import rsretrieve
from rsretrieve.api.arguments.argument_names import COMMANDS, argument_of, in_python, options_in
from rsretrieve.api.model_training import RecipeOptions
from rsretrieve.cli.main import app
from rsretrieve.errors import InvalidArgument, RsretrieveError
from tests.support.repository import ROOT

PACKAGE = ROOT / "rsretrieve"
ONLY_COMMANDS = {
    "config": "the page and config.toml name commands",
    "fixed-labels": "the page and a notice name commands",
    "from": "find and change take dates",
    "onnx": "export_onnx takes a path first",
    "to": "find and change take dates",
}


def messages() -> Iterator[str]:
    """The texts of the package that are no docstrings, without those of the program."""
    for path in PACKAGE.rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        if path.relative_to(PACKAGE).parts[0] not in ("cli", "browse") and "--" in source:
            tree = ast.parse(source)
            alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
            for node in ast.walk(tree):
                if isinstance(node, ast.Constant) and id(node) not in alone:
                    yield str(node.value)


def arguments() -> set[str]:
    """The names of all arguments of public functions and methods."""
    found = set(RecipeOptions.__annotations__)
    for public in (getattr(rsretrieve, name) for name in rsretrieve.__all__):
        for callable_ in (public, *vars(public).values()) if callable(public) else ():
            if inspect.isfunction(callable_):
                found.update(inspect.signature(callable_).parameters)
    return found


NAMED = sorted({option for text in messages() for option in options_in(text)})


def test_options_are_found():
    assert {"overwrite", "asset", "dims", "val"} <= set(NAMED)


@pytest.mark.parametrize("option", [name for name in NAMED if name not in ONLY_COMMANDS])
def test_an_option_that_a_message_names_is_an_argument(option):
    assert argument_of(option) in arguments()


def test_exceptions_are_options_that_messages_name():
    assert set(ONLY_COMMANDS) <= set(NAMED)


def test_all_commands_are_known():
    assert set(COMMANDS) == {
        command.name or command.callback.__name__.replace("_", "-")
        for command in app.registered_commands
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("give --before DATE --after DATE", "give before_dates DATE after_dates DATE"),
        ("choose by --asset NAME", "choose by assets NAME"),
        ("fewer --dims or other tiles for --val", "fewer dimensions or other tiles for validation"),
        ("--buffer-m needs --by-place", "buffer_m needs by_place=True"),
        ("give --tile ID or --at LON,LAT", "give the id of a tile or a pair (longitude, latitude)"),
        ("pip install --upgrade rsretrieve", "pip install --upgrade rsretrieve"),
        (
            "build it: rsretrieve index TILES --output i; or give --update",
            "build it: rsretrieve index TILES --output i; or give update=True",
        ),
        ("what rsretrieve comes with: --model", "what rsretrieve comes with: model"),
        ("a--stack/x.tif: 'a--val', '--val.tif'", "a--stack/x.tif: 'a--val', '--val.tif'"),
    ],
)
def test_options_become_arguments_and_commands_and_files_stay(text, expected):
    assert in_python(text) == expected
    assert in_python(expected) == expected


def test_message_and_hint_of_an_error_name_arguments(tmp_path):
    for name, rows in (("some", 8), ("short", 8), ("few", 3)):
        np.save(tmp_path / f"{name}.npy", np.eye(rows, 6 if name == "short" else 8, dtype="f4"))
    folder = tmp_path / "index"
    rsretrieve.build_index_from_embeddings(tmp_path / "some.npy", folder)
    with pytest.raises(InvalidArgument) as short:
        rsretrieve.build_index_from_embeddings(tmp_path / "short.npy", folder, update=True)
    assert "give dimensions if" in short.value.hint
    with pytest.raises(InvalidArgument) as few:
        rsretrieve.build_index_from_embeddings(tmp_path / "few.npy", folder, update=True)
    assert "update=True would remove them" in few.value.message == str(few.value)
    assert "overwrite=True, too" in few.value.hint
    assert few.value.__notes__ == [f"hint: {few.value.hint}"]
    with pytest.raises(RsretrieveError) as one:
        rsretrieve.change(folder)
    assert "before_dates DATE after_dates DATE" in one.value.hint
