"""What long work tells whoever waits for it: events, passed to a listener."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class StageStarted:
    """A stage of the work begins: what it does, and over how many tiles (or None)."""

    name: str
    total: int | None = None


@dataclass(frozen=True)
class Advanced:
    """Some more tiles of the current stage are done."""

    tiles: int


@dataclass(frozen=True)
class Noticed:
    """Something that the user should know and that stops nothing."""

    text: str


@dataclass(frozen=True)
class EpochFinished:
    """An epoch of a training is done.

    Attributes:
        epoch: counted from 1.
        epochs: how many there will be.
        learning_rate: at the epoch's end.
        loss: mean over the epoch's tiles.
        kept_fraction: the share of the training tiles that are taught with the label they
            were given (m_i = 1).
        relabelled_fraction: the share that is taught with another one.
        temperature: σ.
        validation_accuracy: share of the validation tiles whose predicted class is their
            given label; None without validation tiles.
        seconds: the epoch's time, validation and weights' update included.
        tiles_per_second: training tiles over the time of training alone.
    """

    epoch: int
    epochs: int
    learning_rate: float
    loss: float
    kept_fraction: float
    relabelled_fraction: float
    temperature: float
    validation_accuracy: float | None
    seconds: float
    tiles_per_second: float


Event = StageStarted | Advanced | Noticed | EpochFinished
Listener = Callable[[Event], None]


def ignore_events(_: Event) -> None:
    """Ignore an event: the listener of work that nobody watches."""
