"""What the README and the guide say a user can type is what the program takes."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise

import pytest
import typer

from rsretrieve.cli.main import app
from tests.support.repository import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
GUIDE = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
LINES = [*README.splitlines(), *GUIDE.splitlines()]
COMMANDS = [line.strip() for line in LINES if re.match(r" {4}rsretrieve [a-z]", line)]


def test_the_readme_shows_every_main_command():
    named = {line.split()[1] for line in COMMANDS}
    assert {"train", "index", "query", "audit-labels", "evaluate"} <= named


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_of_the_readme_is_accepted(line):
    _, name, *arguments = shlex.split(line)
    command = typer.main.get_command(app).commands[name]
    # Parses every argument and option, and runs nothing.
    command.make_context(name, arguments)


def test_no_command_of_the_walk_through_writes_what_an_earlier_one_wrote():
    shown = [shlex.split(line) for line in COMMANDS if line in README]
    outputs = ("--output", "--page", "--fixed-labels", "--changes", "--sheet", "--geojson")
    written = [
        value
        for line in shown
        if "--update" not in line
        for option, value in pairwise(line)
        if option in outputs
    ]
    twice = {name for name in written if written.count(name) > 1}
    assert twice <= {"index"}  # made of tiles, then of scenes


@pytest.mark.parametrize("target", re.findall(r"^ {4}make (\w+)", README, re.MULTILINE))
def test_a_make_target_of_the_readme_is_there(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("link", re.findall(r"\]\((?!http)([^)#]+)\)", README))
def test_a_link_of_the_readme_leads_somewhere(link):
    assert (ROOT / link).exists()


@pytest.mark.parametrize("title", re.findall(r"\]\(docs/guide\.md#([^)]+)\)", README))
def test_a_link_into_the_guide_finds_its_heading(title):
    headings = re.findall(r"^## (.+)$", GUIDE, re.MULTILINE)
    assert title in {heading.lower().replace(" ", "-") for heading in headings}
