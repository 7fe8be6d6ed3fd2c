"""Reference pages of the commands, generated from the program itself."""

from __future__ import annotations

import re
from itertools import groupby
from typing import Any

import typer


def command_pages() -> dict[str, str]:
    """One page for each command.

    Returns:
        Name of the command → its page, as Markdown, in the order of `rsretrieve --help`.
    """
    from rsretrieve.cli.main import app

    group: Any = typer.main.get_command(app)
    return {name: _page(name, command) for name, command in group.commands.items()}


def _page(name: str, command: Any) -> str:
    context = command.make_context(name, [], resilient_parsing=True)
    first, _, rest = command.help.partition("\n\n")
    usage = " ".join(["rsretrieve", name, *command.collect_usage_pieces(context)])
    parts = [f"# {name}", first, "```text", usage, "```", _prose(rest)]
    shown = [param for param in command.params if not getattr(param, "hidden", False)]
    for panel, params in groupby(sorted(shown, key=_panel), key=_panel):
        rows = [_row(param, context) for param in params]
        parts += [f"## {_title(panel)}", "\n".join(["| | |", "|---|---|", *rows])]
    return "\n\n".join(parts).replace("```text\n\n", "```text\n").replace("\n\n```\n", "\n```\n")


def _panel(param: Any) -> tuple[int, str]:
    """Arguments, then options without a panel, then each panel."""
    if param.param_type_name == "argument":
        return 0, "Arguments"
    panel = getattr(param, "rich_help_panel", None)
    return (2, str(panel)) if panel else (1, "Options")


def _title(panel: tuple[int, str]) -> str:
    return panel[1]


def _row(param: Any, context: Any) -> str:
    names, text = param.get_help_record(context)
    return f"| `{_cell(names)}` | {_escaped(_cell(text))} |"


def _cell(text: str) -> str:
    """Text for a cell of a table."""
    return " ".join(text.replace("\\[", "[").split()).replace("|", "\\|")


def _escaped(text: str) -> str:
    """Text in which Markdown and HTML mean nothing, with commands and options as code."""
    plain = re.sub(r"(?<!\\)([<>*_\[\]])", r"\\\1", text)
    return re.sub(r"(?<![\w-])(--[a-z][a-z-]*[a-z])", r"`\1`", plain)


def _prose(text: str) -> str:
    """The help below the first paragraph, with its examples as blocks."""
    parts = []
    for paragraph in filter(None, text.split("\n\n")):
        if paragraph.startswith("Example:"):
            lines = [line.strip() for line in paragraph.splitlines()[1:]]
            parts.append("\n".join(["```bash", *lines, "```"]))
        else:
            parts.append(_escaped(paragraph))
    return "\n\n".join(parts)
