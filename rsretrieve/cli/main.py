"""The program `rsretrieve`: its commands, and the handling of their errors."""

from __future__ import annotations

import atexit
import gc
import inspect
import sys
from collections.abc import Callable
from typing import Annotated, NoReturn

import typer
from rich.markup import escape

from rsretrieve import __version__
from rsretrieve._core.standard_output import files_on, make_streams_usable
from rsretrieve.cli.command_group import CommandGroup
from rsretrieve.cli.commands.audit_labels_command import audit_labels
from rsretrieve.cli.commands.browse_command import browse
from rsretrieve.cli.commands.comparing.compare_command import compare
from rsretrieve.cli.commands.corrupt_labels_command import corrupt_labels
from rsretrieve.cli.commands.demo_command import demo
from rsretrieve.cli.commands.evaluate_command import evaluate
from rsretrieve.cli.commands.explain_command import explain
from rsretrieve.cli.commands.export_command import export
from rsretrieve.cli.commands.finding.change_command import change
from rsretrieve.cli.commands.finding.find_command import find
from rsretrieve.cli.commands.index_command import index
from rsretrieve.cli.commands.info_command import info
from rsretrieve.cli.commands.models_command import models
from rsretrieve.cli.commands.query_command import query
from rsretrieve.cli.commands.split_command import split
from rsretrieve.cli.commands.train_command import train
from rsretrieve.cli.commands.upkeep.cache_command import cache
from rsretrieve.cli.commands.upkeep.copy_index_command import copy_index
from rsretrieve.cli.config_file import takes_config
from rsretrieve.cli.given_command import Command
from rsretrieve.cli.several_processes import first_process_speaks, report_once
from rsretrieve.cli.terminal import EXIT_INTERRUPTED, Terminal
from rsretrieve.errors import InvalidArgument, RsretrieveError, ran_out_of_memory

EXIT_ERROR, EXIT_USAGE = 1, 2
_GC_THRESHOLD = 20_000  # new objects between two collections; Python's default is 700 or 2000


def _help_text(docstring: str) -> str:
    """Join the lines of each paragraph, so that help wraps at the terminal's width.

    Paragraphs with indented lines (examples) keep their lines. Square brackets are shown as they
    are, not read as Rich's markup.
    """
    paragraphs = escape(inspect.cleandoc(docstring)).split("\n\n")
    return "\n\n".join(
        paragraph if "\n " in paragraph else paragraph.replace("\n", " ")
        for paragraph in paragraphs
    )


app = typer.Typer(
    name="rsretrieve",
    cls=CommandGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_PANELS: dict[str, tuple[Callable[..., None], ...]] = {
    "Main commands": (train, index, query, find, audit_labels, evaluate, compare, browse),
    "Other commands": (
        change,
        split,
        corrupt_labels,
        models,
        info,
        explain,
        export,
        copy_index,
        cache,
        demo,
    ),
}
for panel, commands in _PANELS.items():
    for command in commands:
        app.command(cls=Command, help=_help_text(command.__doc__ or ""), rich_help_panel=panel)(
            takes_config(command)
        )


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
    """Find similar remote-sensing scenes and wrong labels in a collection of tiles.

    rsretrieve COMMAND --help shows the options of a command.

    Example:
        rsretrieve demo
        rsretrieve train tiles --output models/mine
        rsretrieve index tiles --model models/mine --output index
        rsretrieve query example.tif --index index
        rsretrieve audit-labels tiles --model models/mine --page audit.html
    """


def main() -> None:
    """Run the program. Every error becomes a message and an exit code."""
    make_streams_usable()
    _run_garbage_collector_less_often()
    try:
        with first_process_speaks():
            _run()
    except RsretrieveError as error:  # of the launcher's environment variables
        Terminal(as_json=False, quiet=False).complain(error.message, error.hint)
        sys.exit(EXIT_USAGE)


def _run() -> None:
    try:
        with files_on(sys.stdout):
            app()
    except RsretrieveError as error:
        _exit(
            EXIT_USAGE if isinstance(error, InvalidArgument) else EXIT_ERROR,
            error.message,
            error.hint,
        )
    except OSError as error:
        # From the user's environment: a full disk, a missing permission. Errors of single tiles
        # are `TileError` and do not get here.
        place = f"{error.filename}: " if error.filename else ""
        _exit(EXIT_ERROR, f"{place}{error.strerror or error}")
    except KeyboardInterrupt:  # before a command began, or after it ended
        _exit(EXIT_INTERRUPTED, "interrupted")
    except Exception as error:
        _exit_after(error)


def _exit(code: int, message: str, hint: str = "") -> NoReturn:
    """Report an error and exit."""

    def complain() -> None:
        Terminal(as_json=False, quiet=False).complain(message, hint)

    sys.exit(report_once(code, complain))


def _run_garbage_collector_less_often() -> None:
    """Run the garbage collector less often, because imported modules are never garbage.

    This saves a tenth of the processor time of a query by an image.
    """
    gc.set_threshold(_GC_THRESHOLD, *gc.get_threshold()[1:])
    atexit.register(gc.freeze)  # no collection at exit: the system frees all memory


def _exit_after(error: Exception) -> NoReturn:
    """Report an unexpected error and exit."""
    from rsretrieve.cli.crash_report import EXIT_UNEXPECTED, describe_crash

    if ran_out_of_memory(error):
        _exit(
            EXIT_ERROR,
            f"out of memory ({' '.join(str(error).split())[:120] or 'no details'})",
            "use --batch-size auto, a smaller --size or --device cpu, if the command has them",
        )
    _exit(EXIT_UNEXPECTED, *describe_crash(error))
