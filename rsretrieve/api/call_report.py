"""What a call of a public function reports: warnings, progress, hints of errors."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable
from types import FrameType, TracebackType

from rsretrieve._core.text import first_few
from rsretrieve.api.arguments.argument_names import in_python
from rsretrieve.api.arguments.checks import flag, wrong
from rsretrieve.data.failures import Failure
from rsretrieve.data.run_context import RunContext
from rsretrieve.errors import RsretrieveError, RsretrieveWarning
from rsretrieve.progress import Event, Noticed

Progress = Callable[[Event], None]
_PACKAGE = __name__.partition(".")[0]
_SHOWN = 3


class CallReport:
    """A context manager around the work of one public function.

    It gives the work its `RunContext`. Notices go to `progress`, or become warnings without it.
    At the end one warning says how many tiles failed. An error names arguments in
    place of options, and gets its hint as a note, so that a traceback shows it.

    Args:
        progress: called with every event, or None.
        strict: the first tile that cannot be used ends the work with a `TileError`.

    Raises:
        InvalidArgument: `progress` cannot be called, or `strict` is no bool.
    """

    def __init__(self, progress: Progress | None, *, strict: bool = False) -> None:
        if progress is not None and not callable(progress):
            raise wrong("progress", "a function of one event, or None", progress)
        self._progress = progress
        self.context = RunContext(strict=flag(strict, "strict"), listener=self._listen)

    @property
    def failures(self) -> tuple[Failure, ...]:
        """The tiles that could not be used so far."""
        return tuple(self.context.failures)

    def __enter__(self) -> CallReport:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, RsretrieveError):
            error.message, error.hint = in_python(error.message), in_python(error.hint)
            error.args = (error.message,)
        if isinstance(error, RsretrieveError) and error.hint:
            note = f"hint: {error.hint}"
            if note not in getattr(error, "__notes__", ()):  # a public function may call another
                error.add_note(note)
        if error is None:
            self.notice(*self.context.notices)
            if self.failures:
                _warn(in_python(_failures_text(self.failures)))

    def notice(self, *texts: str) -> None:
        """Pass notices to the caller; the work goes on."""
        for text in texts:
            self._listen(Noticed(text))

    def _listen(self, event: Event) -> None:
        if isinstance(event, Noticed):
            event = Noticed(in_python(event.text))
        if self._progress is not None:
            self._progress(event)
        elif isinstance(event, Noticed):
            _warn(event.text)


def _failures_text(failures: Iterable[Failure]) -> str:
    reasons = [f"{failure.tile_id}: {failure.reason}" for failure in failures]
    noun = "tile" if len(reasons) == 1 else "tiles"
    return f"{len(reasons)} {noun} could not be used ({first_few(reasons, _SHOWN, '; ')})"


def _warn(text: str) -> None:
    """Warn at the line outside of this package that called it."""
    depth = level = 1
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if str(frame.f_globals.get("__name__")).partition(".")[0] == _PACKAGE:
            level = depth
        frame, depth = frame.f_back, depth + 1
    warnings.warn(text, RsretrieveWarning, stacklevel=level + 1)
