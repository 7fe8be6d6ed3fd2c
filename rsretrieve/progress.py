"""Progress events, which long functions pass to a listener."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class StageStarted:
    """A stage begins: its name, and its number of tiles if it is known.

    Attributes:
        name: what is done.
        total: number of tiles; None if it is not known.

    Example:
        >>> import rsretrieve
        >>> rsretrieve.StageStarted("embedding tiles", total=144)
        StageStarted(name='embedding tiles', total=144)
    """

    name: str
    total: int | None = None


@dataclass(frozen=True)
class Advanced:
    """More tiles of the current stage are done.

    Attributes:
        tiles: how many more.

    Example:
        >>> import rsretrieve
        >>> done = []
        >>> def listen(event):
        ...     if isinstance(event, rsretrieve.Advanced):
        ...         done.append(event.tiles)
        >>> model = rsretrieve.load_model("models/mine")
        >>> model.embed("tiles", progress=listen).shape[0] == sum(done)
        True
    """

    tiles: int


@dataclass(frozen=True)
class Noticed:
    """A notice for the user. The work continues.

    Attributes:
        text: one or two sentences.

    Example:
        >>> import rsretrieve
        >>> rsretrieve.Noticed("12 tiles have no label").text
        '12 tiles have no label'
    """

    text: str


@dataclass(frozen=True)
class EpochFinished:
    """An epoch of a training is done.

    Attributes:
        epoch: counted from 1.
        epochs: the number of epochs.
        learning_rate: at the end of the epoch.
        loss: mean over the tiles of the epoch.
        kept_fraction: share of the training tiles that train with their given label (m_i = 1).
        relabelled_fraction: share of the training tiles that train with another label.
        temperature: σ.
        validation_accuracy: share of the validation tiles whose predicted class is their
            given label; None without validation tiles.
        seconds: duration of the epoch, with validation and the update of the weights m_i.
        tiles_per_second: training tiles per second, without validation and update.

    Example:
        >>> import rsretrieve
        >>> losses = []
        >>> def listen(event):
        ...     match event:
        ...         case rsretrieve.EpochFinished(loss=loss):
        ...             losses.append(loss)
        >>> listen(rsretrieve.EpochFinished(1, 40, 0.01, 1.2, 1.0, 0.0, 0.1, None, 2.5, 400.0))
        >>> losses
        [1.2]
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
    """The default listener: ignore an event."""
