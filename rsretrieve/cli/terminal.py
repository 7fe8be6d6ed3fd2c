"""Print results on standard output, and everything else on standard error."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

import typer
from rich.console import Console, RenderableType
from rich.markup import escape

from rsretrieve._core.text import printable
from rsretrieve.progress import Advanced, EpochFinished, Event, Noticed, StageStarted

EXIT_SOME_FAILED, EXIT_INTERRUPTED = 3, 130
WINDOWS_LISTED = 10  # more windows of a scene with the same failure share one line
_WINDOW = re.compile(r"#\d+,\d+,\d+,\d+$")


if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Terminal:
    """Show the progress, the notices and the result of a command.

    Args:
        as_json: print the result as one JSON object.
        quiet: show no progress and no notices.
        after_interrupt: the hint after Ctrl-C.
        notices: printed when the command begins.

    Attributes:
        after_interrupt: returns the hint after Ctrl-C; a command may replace it.
    """

    def __init__(
        self,
        *,
        as_json: bool,
        quiet: bool,
        after_interrupt: str = "",
        notices: Sequence[str] = (),
    ) -> None:
        self.after_interrupt: Callable[[], str] = lambda: after_interrupt
        self._as_json, self._quiet = as_json, quiet
        self._out = _results_on(sys.stdout)
        self._err = Console(stderr=True, highlight=False, soft_wrap=True)
        self._progress: Progress | None = None  # made when the first stage starts
        self._stage: TaskID | None = None
        self._note = ""
        self._notices: list[str] = []
        self.notice(*notices)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop_progress()
        if isinstance(error, KeyboardInterrupt):
            self.complain("interrupted", self.after_interrupt())
            raise typer.Exit(EXIT_INTERRUPTED) from error

    def listen(self, event: Event) -> None:
        """Show an event of the library."""
        match event:
            case StageStarted(name, total):
                self._start_stage(name, total)
            case Advanced(tiles):
                if self._progress is not None and self._stage is not None:
                    self._progress.advance(self._stage, tiles)
            case Noticed(text):
                self.notice(text)
            case EpochFinished():
                self._finish_epoch(event)

    def leave_output_to(self, option: str, *, lines: bool = False) -> None:
        """Print the result on standard error, because a file is written to standard output.

        Args:
            option: the option of this file; empty if there is none.
            lines: the result is printed as one JSON object a line.

        Raises:
            typer.BadParameter: the result is JSON, which needs standard output for itself.
        """
        if option and (self._as_json or lines):
            name = "--json" if self._as_json else "--jsonl"
            raise typer.BadParameter(f"{name} and {option} - both write to standard output")
        if option:
            self._out = _results_on(sys.stderr)

    def notice(self, *texts: str) -> None:
        """Print notices, unless --quiet was given; JSON has them as `notices`, if any."""
        self._notices += (text for text in texts if text not in self._notices)
        for text in texts if not self._quiet else ():
            self._err.print(f"[yellow]note:[/] {escape(printable(text))}")

    def complain(self, message: str, hint: str = "") -> None:
        """Print an error and a hint."""
        self._err.print(f"[bold red]error:[/] {escape(printable(message))}")
        if hint:
            self._err.print(f"[cyan]hint:[/] {escape(printable(hint))}")

    def failures(self, failures: Sequence[Any]) -> int:
        """List the tiles that could not be used. Returns the exit code."""
        self._stop_progress()
        if not failures:
            return 0
        plural = "tile" if len(failures) == 1 else "tiles"
        self._err.print(f"[red]{len(failures)} {plural} could not be used:[/]")
        for line in _failure_lines(failures):
            self._err.print(escape(printable(f"  {line}")))
        return EXIT_SOME_FAILED

    def result(self, content: dict[str, Any], *rendered: RenderableType) -> None:
        """Print a command's result, as JSON or as text."""
        self._stop_progress()
        if self._as_json:
            if self._notices:
                content = {**content, "notices": self._notices}
            sys.stdout.write(json.dumps(content, allow_nan=False) + "\n")
            return
        for part in rendered:
            self._out.print(part)

    def lines(self, contents: Iterable[dict[str, Any]]) -> None:
        """Print JSON objects, one per line."""
        self._stop_progress()
        for content in contents:
            sys.stdout.write(json.dumps(content, allow_nan=False) + "\n")

    def _start_stage(self, name: str, total: int | None) -> None:
        if self._progress is None:
            hidden = self._quiet or not self._err.is_terminal
            self._progress = _progress_bar(self._err, hidden=hidden)
            self._progress.start()
        if self._stage is not None:
            self._progress.remove_task(self._stage)
        self._stage = self._progress.add_task(name, total=total, note=self._note)
        if not self._err.is_terminal and not self._quiet and not name.startswith("epoch "):
            counted = "blocks" if name.endswith(" blocks") else "tiles"
            self._err.print(f"{name} ({total} {counted})" if total else name)

    def _stop_progress(self) -> None:
        # Before version 15, Rich prints an empty line at the end of a hidden bar, too.
        if self._progress is not None and not self._progress.disable:
            self._progress.stop()

    def _finish_epoch(self, epoch: EpochFinished) -> None:
        parts = [f"loss {epoch.loss:.4f}", f"labels kept {epoch.kept_fraction:.1%}"]
        if epoch.relabelled_fraction:
            parts.append(f"replaced {epoch.relabelled_fraction:.1%}")
        if epoch.validation_accuracy is not None:
            parts.append(f"validation accuracy {epoch.validation_accuracy:.3f}")
        left = (epoch.epochs - epoch.epoch) * epoch.seconds
        parts += [f"{epoch.tiles_per_second:.0f} tiles/s", f"{_minutes(left)} left"]
        self._note = ", ".join(parts)
        if not self._err.is_terminal and not self._quiet:
            self._err.print(f"epoch {epoch.epoch}/{epoch.epochs}: {self._note}")


def _results_on(stream: TextIO) -> Console:
    """A console for results: in a file or a pipe, tables are not cut to a terminal's width."""
    width = None if stream.isatty() else 240
    return Console(stderr=stream is sys.stderr, highlight=False, width=width)


def _failure_lines(failures: Sequence[Any]) -> Iterator[str]:
    """One line per tile. Many windows of a scene with the same failure share one line."""

    def scene_and_reason(failure: Any) -> tuple[str, str]:
        return _WINDOW.sub("#", failure.tile_id), failure.reason

    for (scene, reason), group in groupby(failures, scene_and_reason):
        bad = list(group)
        if scene.endswith("#") and len(bad) > WINDOWS_LISTED:
            first, last = bad[0].tile_id, bad[-1].tile_id.removeprefix(scene[:-1])
            yield f"{first} to {last}, {len(bad)} windows: {reason}"
        else:
            yield from (f"{failure.tile_id}: {failure.reason}" for failure in bad)


def _minutes(seconds: float) -> str:
    return (
        f"{seconds // 60:.0f} min {seconds % 60:02.0f} s" if seconds >= 60 else f"{seconds:.0f} s"
    )


def _progress_bar(console: Console, *, hidden: bool) -> Progress:
    # Imported here, because commands without a progress bar should start fast.
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(compact=True),
        console=console,
        transient=True,
        disable=hidden,
    )
