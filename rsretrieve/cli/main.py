"""The program: its commands, and the one place where errors become messages."""

from __future__ import annotations

import atexit
import gc
import inspect
import sys
from typing import Annotated, NoReturn

import typer

from rsretrieve import __version__
from rsretrieve.cli.commands.audit_labels_command import audit_labels
from rsretrieve.cli.commands.cache_command import cache
from rsretrieve.cli.commands.corrupt_labels_command import corrupt_labels
from rsretrieve.cli.commands.demo_command import demo
from rsretrieve.cli.commands.evaluate_command import evaluate
from rsretrieve.cli.commands.index_command import index
from rsretrieve.cli.commands.info_command import info
from rsretrieve.cli.commands.query_command import query
from rsretrieve.cli.commands.split_command import split
from rsretrieve.cli.commands.train_command import train
from rsretrieve.cli.terminal import EXIT_INTERRUPTED, Terminal
from rsretrieve.errors import InvalidArgument, RsretrieveError, ran_out_of_memory

EXIT_ERROR, EXIT_USAGE = 1, 2
_OBJECTS_BETWEEN_SEARCHES = 20_000  # Python's own choice is 700, or 2000


def _filled(docstring: str) -> str:
    """Join the lines of each paragraph: help is broken where the terminal is, not the source."""
    paragraphs = inspect.cleandoc(docstring).split("\n\n")
    return "\n\n".join(" ".join(paragraph.split("\n")) for paragraph in paragraphs)


app = typer.Typer(
    name="rsretrieve",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    *(train, index, query, audit_labels, evaluate),
    *(info, corrupt_labels, split, demo, cache),
):
    app.command(help=_filled(command.__doc__ or ""))(command)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"rsretrieve {__version__}")
        raise typer.Exit


@app.callback()
def rsretrieve(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Find remote-sensing scenes by example, and the labels among them that are wrong."""


def main() -> None:
    """Run the program; every error becomes a message and an exit code."""
    _collect_garbage_seldom()
    try:
        app()
    except RsretrieveError as error:
        Terminal(as_json=False, quiet=False).complain(error.message, error.hint)
        sys.exit(EXIT_USAGE if isinstance(error, InvalidArgument) else EXIT_ERROR)
    except OSError as error:
        # Of the user's environment: no room, no permission. Tiles' own errors never get here.
        place = f"{error.filename}: " if error.filename else ""
        Terminal(as_json=False, quiet=False).complain(f"{place}{error.strerror or error}")
        sys.exit(EXIT_ERROR)
    except KeyboardInterrupt:  # before a command began, or after it ended
        Terminal(as_json=False, quiet=False).complain("interrupted")
        sys.exit(EXIT_INTERRUPTED)
    except Exception as error:
        _end_over(error)


def _collect_garbage_seldom() -> None:
    """What a command makes at first are modules, which stay: a search among them finds nothing.

    A query by an image takes a tenth less processor time.
    """
    gc.set_threshold(_OBJECTS_BETWEEN_SEARCHES, *gc.get_threshold()[1:])
    atexit.register(gc.freeze)  # nor when the process ends, which gives all of it back


def _end_over(error: Exception) -> NoReturn:
    """Say what happened that nobody foresaw."""
    from rsretrieve.cli.crash_report import EXIT_UNEXPECTED, apology

    terminal = Terminal(as_json=False, quiet=False)
    if ran_out_of_memory(error):
        terminal.complain(
            f"there is not enough memory ({' '.join(str(error).split())[:120] or 'none is left'})",
            "give --batch-size auto, a smaller --size, or --device cpu, where the command has them",
        )
        sys.exit(EXIT_ERROR)
    terminal.complain(*apology(error))
    sys.exit(EXIT_UNEXPECTED)
