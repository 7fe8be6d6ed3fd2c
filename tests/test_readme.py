"""What the README, the guide and CONTRIBUTING show exists, and is accepted by the program."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise

import pytest
import typer

from rsretrieve.cli.main import app
from tests.support.repository import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
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


@pytest.mark.parametrize("line", re.findall(r"^ {4}(python benchmarks/.+)$", README, re.MULTILINE))
def test_a_benchmark_of_the_readme_has_these_options(line):
    _, script, *arguments = shlex.split(line)
    sources = [ROOT / script, *(ROOT / "benchmarks" / "grid").glob("*.py")]
    text = "".join(path.read_text(encoding="utf-8") for path in sources)
    options = [argument.removeprefix("--") for argument in arguments if argument[:2] == "--"]
    assert options
    assert all(re.search(rf"\b{option}\b", text) for option in options)


PLACES = re.findall(r"`((?:rsretrieve|tests|benchmarks|docs)/[\w./]*)`", CONTRIBUTING)


@pytest.mark.parametrize("place", sorted(set(PLACES)))
def test_a_place_that_contributing_names_is_there(place):
    assert (ROOT / place).exists()


def test_contributing_names_every_package_and_phase():
    packages = {path.parent.name for path in (ROOT / "rsretrieve").glob("*/__init__.py")}
    named = {place.split("/")[1] for place in PLACES if place.startswith("rsretrieve/")}
    assert packages <= named
    for phase in ("find", "read", "embed", "index", "search", "audit"):
        assert f"| **{phase}**" in CONTRIBUTING
