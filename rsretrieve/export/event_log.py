"""TensorBoard events of a training."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

from rsretrieve.errors import MissingPackage
from rsretrieve.progress import EpochFinished, Event, Listener

_NOT_DRAWN = ("epoch", "epochs")


class EventLog:
    """A context manager around a training, which writes its epochs as TensorBoard events.

    Args:
        folder: events are written into a new sub-folder, so that several runs can be compared;
            None writes nothing.
        name: of the sub-folder; a number is added if there is one of that name.
        listener: is called with every event, too.

    Raises:
        MissingPackage: tensorboard is not installed.
    """

    def __init__(self, folder: Path | None, name: str, listener: Listener) -> None:
        if folder is not None:
            require_tensorboard()
        self._folder, self._name, self._listener = folder, name, listener
        self._writer: Any = None

    def __enter__(self) -> EventLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._writer is not None:
            self._writer.close()

    def listen(self, event: Event) -> None:
        """Pass an event on, and write the figures of an epoch."""
        self._listener(event)
        if self._folder is not None and isinstance(event, EpochFinished):
            if self._writer is None:
                self._writer = _writer_in(numbered(self._folder / self._name))
            for name, value in asdict(event).items():
                if name not in _NOT_DRAWN and value is not None:
                    self._writer.add_scalar(name, value, event.epoch)
            self._writer.flush()


def _writer_in(folder: Path) -> Any:
    module: Any = importlib.import_module("torch.utils.tensorboard")
    folder.mkdir(parents=True)
    return module.SummaryWriter(str(folder))


def require_tensorboard() -> None:
    """Check that TensorBoard is installed.

    Raises:
        MissingPackage: it is not.
    """
    if importlib.util.find_spec("tensorboard") is None:
        raise MissingPackage(
            "--log-dir writes TensorBoard events, and tensorboard is not installed",
            hint="pip install tensorboard, or rsretrieve[tensorboard]",
        )


def numbered(path: Path) -> Path:
    """The path itself if nothing is there, or else with the first free number from 2 on.

    >>> numbered(Path("no/such/run")).name
    'run'
    """
    found, number = path, 2
    while found.exists():
        found, number = path.with_name(f"{path.name}-{number}"), number + 1
    return found
