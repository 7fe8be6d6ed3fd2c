from __future__ import annotations

import errno
import subprocess
import sys
import time

import pytest

import rsretrieve
from rsretrieve.cli import app
from tests.cli.conftest import rsretrieve as program

COMMANDS = (
    "train",
    "index",
    "query",
    "audit-labels",
    "evaluate",
    "info",
    "corrupt-labels",
    "split",
    "demo",
)


def test_help_names_every_command(run):
    ran = run("--help")
    assert ran.code == 0
    assert all(command in ran.out for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_json_quiet_and_overwrite_where_the_contract_says(run, command):
    out = run(command, "--help").out
    assert "--quiet" in out
    assert ("--json" in out) == (command != "demo")
    assert ("--overwrite" in out) == (command not in ("evaluate", "info"))


def test_help_names_defaults_that_are_no_values(run):
    out = run("train", "--help").out
    assert "[default: the recipe's]" in out
    assert "[default: the window's side]" in out


def test_version(run):
    assert run("--version").out == f"rsretrieve {rsretrieve.__version__}\n"


@pytest.mark.parametrize("arguments", [["trian"], ["query"], ["split", "--nonsense"]], ids=" ".join)
def test_wrong_usage_exits_2(run, arguments):
    ran = run(*arguments)
    assert (ran.code, ran.out) == (2, "")


def test_an_error_of_the_environment_is_a_message_without_a_traceback(run, monkeypatch, tmp_path):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device", "lists/train.csv")

    monkeypatch.setattr("rsretrieve.tiles.catalog.find_tiles", full)
    ran = run("split", tmp_path, "--output", tmp_path / "lists")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == "error: lists/train.csv: No space left on device\n"


def test_an_error_of_ours_that_nobody_foresaw_keeps_its_traceback(monkeypatch):
    def broken():
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(app, "app", broken)
    with pytest.raises(ZeroDivisionError):
        app.main()


def test_names_with_markup_and_control_characters_do_not_steer_the_terminal(run, tmp_path):
    strange = tmp_path / "[red]\x1b[2J"
    ran = run("split", strange, "--output", tmp_path)
    assert ran.code == 1
    assert "[red]\\x1b[2J: no such folder or list" in ran.err
    assert "\x1b" not in ran.err


def test_help_answers_at_once():
    # A bound ten times what it takes, against an import that slips in, not a benchmark.
    started = time.perf_counter()
    assert program("--help").returncode == 0
    assert time.perf_counter() - started < 3


def test_the_module_runs_as_a_program():
    ran = subprocess.run(
        [sys.executable, "-m", "rsretrieve", "--version"], capture_output=True, text=True
    )
    assert ran.stdout.startswith("rsretrieve ")
