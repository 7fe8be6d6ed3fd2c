"""The examples of the page about `find` and `change` run, and its commands are accepted."""

from __future__ import annotations

import re
import shlex

import pytest
import typer

from rsretrieve.cli.main import app
from tests.api.test_docstring_examples import python_blocks
from tests.support.repository import ROOT

PAGE = (ROOT / "docs" / "find-them-all.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^rsretrieve .*$", PAGE, re.MULTILINE)


@pytest.mark.medium
def test_the_blocks_of_the_page_run_one_after_the_other(workplace):
    names: dict[str, object] = {}
    for block in python_blocks(PAGE):
        exec(block, names)
    assert names["low"] <= 16 <= names["high"]
    assert (workplace / "changed-places.tif").exists()


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_of_the_page_is_accepted(line):
    _, name, *arguments = shlex.split(line)
    command = typer.main.get_command(app).commands[name]
    command.make_context(name, arguments)
