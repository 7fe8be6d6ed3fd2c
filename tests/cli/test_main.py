from __future__ import annotations

import errno
import json
import resource
import shlex
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import pytest

import rsretrieve
from rsretrieve.cli import main
from tests.support.programs import rsretrieve as program

COMMANDS = (
    "train",
    "index",
    "query",
    "audit-labels",
    "evaluate",
    "info",
    "export",
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
    assert ("--overwrite" in out) == (command not in ("info",))


def test_version(run):
    assert run("--version").out == f"rsretrieve {rsretrieve.__version__}\n"


@pytest.mark.parametrize("arguments", [["trian"], ["query"], ["split", "--nonsense"]], ids=" ".join)
def test_wrong_usage_exits_2(run, arguments):
    ran = run(*arguments)
    assert (ran.code, ran.out) == (2, "")


def test_an_error_of_the_environment_is_a_message_without_a_traceback(run, monkeypatch, tmp_path):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device", "lists/train.csv")

    monkeypatch.setattr("rsretrieve.data.discovery.find_tiles.find_tiles", full)
    ran = run("split", tmp_path, "--output", tmp_path / "lists")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == "error: lists/train.csv: No space left on device\n"


def broken(*_, **__):
    raise ZeroDivisionError("a \x1b bug")


def test_an_unexpected_error_is_a_short_message_and_a_file(run, monkeypatch, tmp_path):
    monkeypatch.setattr("rsretrieve.data.discovery.find_tiles.find_tiles", broken)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ran = run("split", tmp_path, "--output", tmp_path / "lists")
    assert (ran.code, ran.out) == (70, "")
    error, hint = ran.err.splitlines()
    assert error.startswith("error: internal error")
    assert error.endswith("ZeroDivisionError: a \\x1b bug")
    (written,) = tmp_path.glob("rsretrieve-error-*.txt")
    assert hint.startswith("hint: please report")
    assert str(written) in hint
    assert written.stat().st_mode & 0o777 == 0o600
    text = written.read_text()
    assert text.startswith(f"rsretrieve {rsretrieve.__version__}, Python ")
    assert "in broken" in text
    assert f"split {tmp_path}" in text


def test_a_crash_report_without_room_for_a_file(run, monkeypatch, tmp_path):
    monkeypatch.setattr("rsretrieve.data.discovery.find_tiles.find_tiles", broken)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    ran = run("split", tmp_path, "--output", tmp_path / "lists")
    assert ran.code == 70
    assert "hint: please report" in ran.err
    assert "the command" in ran.err


class OutOfMemoryError(RuntimeError):
    """Named like PyTorch's."""


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OutOfMemoryError("CUDA out of memory."),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_memory_that_runs_out_is_no_bug(run, monkeypatch, tmp_path, error):
    def greedy(*_, **__):
        raise error

    monkeypatch.setattr("rsretrieve.data.discovery.find_tiles.find_tiles", greedy)
    ran = run("split", tmp_path, "--output", tmp_path / "lists")
    assert ran.code == 1
    message, hint = ran.err.splitlines()
    assert message.startswith("error: out of memory")
    assert str(error) in message
    assert "--batch-size auto" in hint


def test_ctrl_c_outside_of_a_command_is_one_line(monkeypatch, capsys):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(main, "app", interrupted)
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == 130
    assert capsys.readouterr().err == "error: interrupted\n"


def test_names_with_markup_and_control_characters_do_not_steer_the_terminal(run, tmp_path):
    strange = tmp_path / "[red]\x1b[2J"
    ran = run("split", strange, "--output", tmp_path)
    assert ran.code == 1
    assert "[red]\\x1b[2J: no such folder or list" in ran.err
    assert "\x1b" not in ran.err


def test_help_answers_at_once():
    # By the processor's time, which a machine at work does not stretch much; several times what
    # it takes, against an import that slips in, not a benchmark.
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert program("--help").returncode == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1


def test_the_module_runs_as_a_program():
    ran = subprocess.run(
        [sys.executable, "-m", "rsretrieve", "--version"], capture_output=True, text=True
    )
    assert ran.stdout.startswith("rsretrieve ")


NO_UNICODE = [
    {"PYTHONIOENCODING": "latin-1"},
    {"PYTHONIOENCODING": "ascii"},
    {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
]


@pytest.fixture
def labelled(tmp_path, monkeypatch):
    """A list of tiles whose names are not in Latin-1."""
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"→{i}.tif,{'ab'[i % 2]}\n" for i in range(4))
    (tmp_path / "list.csv").write_text("tile,label\n" + rows, encoding="utf-8")
    return "corrupt-labels", "list.csv", "--rate", "0", "--output"


@pytest.mark.parametrize("encoding", NO_UNICODE, ids=str)
def test_standard_output_need_not_be_unicode(labelled, monkeypatch, encoding):
    for name, value in encoding.items():
        monkeypatch.setenv(name, value)
    words = [sys.executable, "-m", "rsretrieve", *labelled]
    said = subprocess.run([*words, "x–→.csv"], capture_output=True)
    assert (said.returncode, b"changed 0 of 4 labels" in said.stdout) == (0, True), said.stderr
    shown = subprocess.run([*words, "x–→.csv", "--json", "--overwrite"], capture_output=True)
    assert json.loads(shown.stdout)["tiles"] == 4
    table = subprocess.run([*words, "-"], capture_output=True)
    assert "→3.tif,b,b" in table.stdout.decode("utf-8")
    config = subprocess.run([*words, "x–.csv", "--print-config"], capture_output=True)
    assert config.returncode == 0
    assert tomllib.loads(config.stdout.decode("utf-8"))["corrupt-labels"]["tiles"] == ["list.csv"]


def test_closed_standard_streams_are_no_crash(labelled):
    words = shlex.join([sys.executable, "-m", "rsretrieve", *labelled])
    for closed, code in (("x.csv >&-", 0), ("x.csv --json >&- 2>&- <&-", 1), ("- >&-", 0)):
        ran = subprocess.run(f"{words} {closed}", shell=True, capture_output=True, text=True)
        assert (ran.returncode, ran.stdout) == (code, ""), ran.stderr
        assert "Traceback" not in ran.stderr
    assert not Path("-").exists()
