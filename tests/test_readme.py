"""What the README and CONTRIBUTING show exists; `tests/docs` runs the commands."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise

import pytest

from tests.support.doc_blocks import blocks_of
from tests.support.repository import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCKS = blocks_of(ROOT / "README.md")
COMMANDS = [words for block in BLOCKS for words in block.commands if words[0] == "rsretrieve"]
PAGES = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "models/README.md")


def test_the_readme_shows_every_main_command():
    assert {"train", "index", "query", "audit-labels", "evaluate"} <= {w[1] for w in COMMANDS}


def test_the_readme_shows_the_product_first_and_then_what_a_newcomer_asks():
    headings = [
        *("Install", "Three commands", "What it reads", "Python", "How it compares", "Figures"),
        "Documentation",
    ]
    places = [README.index(f"\n## {heading}\n") for heading in headings]
    assert places == sorted(places)
    pictures = [README.index(name) for name in ("audit-page.webp", "hits.webp")]
    sentence = README.index("\nrsretrieve finds")
    assert max(pictures) < sentence < README.index("badges.svg") < places[0]
    recording = README.index("terminal.svg")
    assert places[1] < recording < places[2]


def test_no_command_of_the_walk_through_writes_what_an_earlier_one_wrote():
    outputs = ("--output", "--page", "--fixed-labels", "--changes", "--sheet", "--geojson")
    written = [
        value
        for line in COMMANDS
        if "--update" not in line
        for option, value in pairwise(line)
        if option in outputs
    ]
    twice = {name for name in written if written.count(name) > 1}
    assert not twice


@pytest.mark.parametrize("target", re.findall(r"^ {4}make (\w+)", README, re.MULTILINE))
def test_a_make_target_of_the_readme_is_there(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


LINKS = [
    (page, link)
    for page in PAGES
    for link in re.findall(r"\]\((?!http|#)([^)]+)\)", (ROOT / page).read_text(encoding="utf-8"))
]


@pytest.mark.parametrize(("page", "link"), LINKS)
def test_a_link_leads_somewhere(page, link):
    name, _, anchor = link.partition("#")
    path = (ROOT / page).parent / name
    assert path.exists()
    if anchor:
        headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert anchor in {anchor_of(heading) for heading in headings}


def anchor_of(heading):
    return re.sub(r"[^\w\s-]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("line", re.findall(r"^ {4}(python benchmarks/.+)$", README, re.MULTILINE))
def test_a_benchmark_of_the_readme_has_these_options(line):
    _, script, *arguments = shlex.split(line)
    sources = [ROOT / script, *(ROOT / "benchmarks" / "grid").glob("*.py")]
    text = "".join(path.read_text(encoding="utf-8") for path in sources)
    options = [argument.removeprefix("--") for argument in arguments if argument[:2] == "--"]
    assert options
    assert all(re.search(rf"\b{option}\b", text) for option in options)


PLACES = re.findall(r"`((?:rsretrieve|tests|benchmarks|docs|tools)/[\w./]*)`", CONTRIBUTING)


@pytest.mark.parametrize("place", sorted(set(PLACES)))
def test_a_place_that_contributing_names_is_there(place):
    assert (ROOT / place).exists()


def test_contributing_names_every_package_and_phase():
    packages = {path.parent.name for path in (ROOT / "rsretrieve").glob("*/__init__.py")}
    named = {place.split("/")[1] for place in PLACES if place.startswith("rsretrieve/")}
    assert packages <= named
    for phase in ("find", "read", "embed", "index", "search", "audit"):
        assert f"| **{phase}**" in CONTRIBUTING
