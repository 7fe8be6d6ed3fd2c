"""Every block of docs/compare.md runs, with trainings that are short."""

from __future__ import annotations

import re
import shlex

import pytest
import typer

from rsretrieve.cli.main import app
from tests.support.repository import ROOT

PAGE = (ROOT / "docs" / "compare.md").read_text(encoding="utf-8")
QUICK = ["--backbone", "squeezenet1_1", "--weights", "none", "--size", "32"]
TRAINED = [*QUICK, "--epochs", "1", "--seeds", "2", "--quiet"]
MORE = {"compare": TRAINED, "train": QUICK}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


LINES = [line for block in blocks("bash") for line in block.splitlines()]


@pytest.mark.parametrize("line", LINES)
def test_a_command_of_the_page_is_accepted(line):
    _, name, *arguments = shlex.split(line)
    typer.main.get_command(app).commands[name].make_context(name, arguments)


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.filterwarnings("ignore::rsretrieve.errors.RsretrieveWarning")
def test_every_block_of_the_page_runs(run, landscape, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiles").symlink_to(landscape)
    assert len(LINES) >= 9
    for line in LINES:
        words = shlex.split(line)
        assert words[0] == "rsretrieve"
        ran = run(*words[1:], *MORE.get(words[1], []))
        assert ran.code == 0, f"{line}\n{ran.err}"
    names: dict[str, object] = {}
    for block in blocks("python"):
        exec(block.replace("print(", "str("), names)
    assert len(names["found"].results) == 4
