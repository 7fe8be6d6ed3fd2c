"""A file that this program keeps, and that other programs may change meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rsretrieve._core.atomic_write import written_aside
from rsretrieve._core.locks import only_writer
from rsretrieve.errors import OutputExists


class WatchedFile:
    """Knows the state of a file as this program last read or wrote it.

    Args:
        path: the file; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._state = _state(path)

    @property
    def is_changed(self) -> bool:
        """Whether another program wrote or removed the file."""
        return _state(self.path) != self._state

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Read the file inside; if that succeeds, its content is known."""
        state = _state(self.path)  # before: what is written while it is read is a change
        yield
        self._state = state

    @contextmanager
    def writing(self) -> Iterator[Path]:
        """Yield a path to write the new content to; it then replaces the file.

        To be called while the file is locked by `only_writer`.
        """
        with written_aside(self.path, overwrite=True) as aside:
            yield aside
            # Before it gets its name: a change by another program a moment later is none of ours.
            state = _state(aside)
        self._state = state

    @contextmanager
    def changing(self) -> Iterator[Path]:
        """Lock the file, and yield a path to write the new content to; see `writing`.

        Raises:
            OutputBusy: another process holds the lock.
            OutputExists: another program changed the file, also while it was written.
        """
        with only_writer(self.path):
            self._refuse_changes()
            with self.writing() as aside:
                yield aside
                self._refuse_changes()

    def _refuse_changes(self) -> None:
        if self.is_changed:
            raise OutputExists(
                f"{self.path} was changed by another program; nothing is written to it",
                hint="end this program and start it again: it then reads the file anew",
            )


def _state(path: Path) -> tuple[int, int, int] | None:
    """What differs after every change; None if there is no file.

    Every file that rsretrieve writes is a new one (`st_ino`), also within one tick of the clock.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
