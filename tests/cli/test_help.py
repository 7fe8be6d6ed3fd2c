"""`--help`: examples that the commands accept, and defaults that are the real ones."""

from __future__ import annotations

import inspect
import math
import re
import shlex

import pytest
import typer

from rsretrieve.audit.issue_selection import FIX_PRECISION
from rsretrieve.cli.main import app
from rsretrieve.data.windowing import DEFAULT_MAX_NODATA, MAX_WINDOWS
from rsretrieve.index.vectors.choose_kind import IndexGoal
from rsretrieve.search.filters import DUPLICATE_SIMILARITY
from rsretrieve.training.recipe import PAPER, ROBUST, ROBUST_FROM_NOTHING, ROBUST_FROZEN
from tests.support.programs import rsretrieve as program

PROGRAM = typer.main.get_command(app)
COMMANDS = tuple(PROGRAM.commands)
EXAMPLES = [
    (name, line.strip())
    for name, command in PROGRAM.commands.items()
    for line in command.help.splitlines()
    if line.startswith("    rsretrieve ")
]


def default_of(command: str, option: str) -> str:
    """What the help of an option says its default is."""
    (parameter,) = (p for p in PROGRAM.commands[command].params if option in p.opts)
    return re.search(r"\\\[default: (.*)\]", parameter.help)[1]  # escaped: it is shown


@pytest.mark.parametrize(
    ("option", "field"),
    [
        ("--size", "size_px"),
        ("--epochs", "epochs"),
        ("--batch-size", "batch_size"),
        ("--dimensions", "dimensions"),
        ("--backbone", "backbone"),
        ("--loss", "loss"),
        ("--optimizer", "optimizer"),
        ("--q", "q"),
        ("--truncation", "k"),
    ],
)
def test_a_default_of_train_is_that_of_the_recipes(option, field):
    robust, paper = getattr(ROBUST, field), getattr(PAPER, field)
    assert getattr(ROBUST_FROM_NOTHING, field) == robust
    expected = f"{robust}" if robust == paper else f"{robust}; paper: {paper}"
    assert default_of("train", option) == expected


def test_the_learning_rate_of_train_is_that_of_the_recipes():
    rates = [recipe.learning_rate for recipe in (ROBUST, ROBUST_FROM_NOTHING, ROBUST_FROZEN, PAPER)]
    assert default_of("train", "--learning-rate") == (
        "{}; with --weights none: {}; with --freeze-backbone: {}; paper: {}".format(*rates)
    )


def test_the_temperature_of_train_is_that_of_the_recipes():
    formula, paper = default_of("train", "--temperature").split("; ")
    assert formula == "1 / ln(39·(K − 1)) for K classes"
    assert ROBUST.temperature is None
    assert ROBUST.temperature_for(21) == pytest.approx(1 / math.log(39 * 20))
    assert paper == f"paper: {PAPER.temperature}"


@pytest.mark.parametrize(
    ("command", "option", "value"),
    [
        ("train", "--max-nodata", DEFAULT_MAX_NODATA),
        ("train", "--max-windows", f"{MAX_WINDOWS:,}"),
        ("index", "--recall", f"{IndexGoal().recall}; with --update: unchanged"),
        ("query", "--duplicate-similarity", DUPLICATE_SIMILARITY),
        ("audit-labels", "--fix-precision", FIX_PRECISION),
    ],
)
def test_a_default_is_the_real_one(command, option, value):
    assert default_of(command, option) == str(value)


def test_no_help_names_a_recipe_in_place_of_a_number(run):
    assert "the recipe's" not in run("train", "--help").out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_an_example(command):
    assert command in {name for name, _ in EXAMPLES}


@pytest.mark.parametrize(("name", "line"), EXAMPLES)
def test_an_example_is_accepted(name, line):
    _, command, *arguments = shlex.split(line)
    assert command == name
    # Parses every argument and option, and runs nothing.
    assert PROGRAM.commands[name].make_context(name, arguments).params


@pytest.mark.medium
@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_80_columns_and_breaks_no_example(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = program(command, "--help").stdout.splitlines()
    assert max(map(len, lines)) <= 80
    shown = {line.strip() for line in lines}
    assert {line for name, line in EXAMPLES if name == command} <= shown


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_every_word_of_the_docstring(command, run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    shown = run(command, "--help").out.split()
    docstring = inspect.unwrap(PROGRAM.commands[command].callback).__doc__
    assert [word for word in docstring.split() if word not in shown] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_options_stand_in_groups(command):
    groups = {
        getattr(option, "rich_help_panel", None)
        for option in PROGRAM.commands[command].params
        if option.param_type_name == "option"
    }
    assert "Run" in groups
