"""Suggestions for commands that do not exist."""

from __future__ import annotations

import pytest

from rsretrieve.cli import command_group
from rsretrieve.cli.command_group import commands_meant
from rsretrieve.cli.main import app
from tests.cli.test_help import COMMANDS


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("search", ["query"]),
        ("find-similar", ["query"]),
        ("audit", ["audit-labels"]),
        ("clean", ["audit-labels"]),
        ("embed", ["index"]),
        ("fit", ["train"]),
        ("Audit_Labels", ["audit-labels"]),
        ("copy", ["copy-index"]),
        ("trian", ["train"]),
        ("zzzz", []),
    ],
)
def test_the_command_that_was_probably_meant_is_suggested(run, typed, meant):
    assert commands_meant(typed, COMMANDS) == meant
    ran = run(typed)
    assert (ran.code, ran.out) == (2, "")
    said = " ".join(ran.err.replace("│", " ").split())
    assert f"No such command '{typed}'" in said
    assert all(f"Did you mean {name}?" in said for name in meant)
    assert bool(meant) == ("Did you mean" in said)


def test_only_commands_are_suggested_and_none_of_them_for_another_one():
    assert app.info.cls is command_group.CommandGroup
    suggested = {command: words.split() for command, words in command_group._MEANT.items()}
    assert suggested.keys() <= {*COMMANDS}
    words = [word for each in suggested.values() for word in each]
    assert len(words) == len({*words})
    assert not {*words} & {*COMMANDS}
