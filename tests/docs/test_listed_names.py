"""Lists in the documentation name what the program has."""

from __future__ import annotations

import re
import tomllib

import typer

from rsretrieve.cli.main import app
from tests.support.repository import ROOT

PROGRAM = typer.main.get_command(app)
NAME = re.compile(r"`([a-z-]+)`")


def test_the_readme_names_the_commands_without_json():
    sentence = re.search(r"All commands except (.*?) take", (ROOT / "README.md").read_text())[1]
    without = {
        name
        for name, command in PROGRAM.commands.items()
        if not any("--json" in parameter.opts for parameter in command.params)
    }
    assert set(NAME.findall(sentence)) == without


def test_the_page_on_installation_names_all_optional_parts():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    page = (ROOT / "docs" / "get-started" / "install.md").read_text()
    listed = re.findall(r"^\| `([a-z]+)` \|", page, re.MULTILINE)
    assert sorted(listed) == sorted({*project["optional-dependencies"]} - {"dev"})


def test_the_page_on_options_names_the_commands_that_record_them():
    commands = ROOT / "rsretrieve" / "cli" / "commands"
    recording = {
        path.stem.removesuffix("_command").replace("_", "-")
        for path in commands.rglob("*_command.py")
        if re.search(r"\brecord_(config|run)\(", path.read_text(encoding="utf-8"))
    }
    page = (ROOT / "docs" / "how-to" / "options.md").read_text()
    [sentence] = re.findall(r"does nothing else\. (.*?) write `config\.toml`", page, re.DOTALL)
    assert set(NAME.findall(sentence)) == recording
