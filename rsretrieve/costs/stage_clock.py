"""Seconds of each stage of a training, from its progress events."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, field

from rsretrieve.progress import EpochFinished, Event, StageStarted

READING, FEATURES, HEAD, EPOCHS, REST = "reading", "features", "head", "epochs", "rest"
_OF_STAGES = (
    ("reading ", READING),
    ("computing ", FEATURES),
    ("fitting projection", HEAD),
    ("epoch ", EPOCHS),
)


@dataclass
class StageClock:
    """A listener that adds up how long each kind of stage takes.

    Attributes:
        seconds: of each kind of stage.
        epochs: seconds of each epoch, in order.
    """

    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    epochs: list[float] = field(default_factory=list)
    _stage: str = REST
    _since: float = field(default_factory=lambda: time.perf_counter())

    def listen(self, event: Event) -> None:
        """Take an event of the training."""
        if isinstance(event, EpochFinished):
            self.epochs.append(event.seconds)
            self._change(REST)
        elif isinstance(event, StageStarted):
            kinds = (kind for start, kind in _OF_STAGES if event.name.startswith(start))
            self._change(next(kinds, REST))

    def stop(self) -> None:
        """The training is finished."""
        self._change(REST)

    def _change(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[self._stage] += now - self._since
        self._stage, self._since = stage, now
