"""Where every long task reports its progress and the tiles that it could not use."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from rsretrieve._core.machine.run_cost import CostMeter
from rsretrieve._core.text import some_of
from rsretrieve.data.failures import Failure
from rsretrieve.data.notes import Note, NoteCounts
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.errors import TileError
from rsretrieve.progress import Advanced, Event, Listener, Noticed, StageStarted, ignore_events

_SHOWN = 5  # names in a notice


class RunContext:
    """Collects the tiles that failed, and passes progress on to a listener.

    A bad tile ends a run only if the context is strict; every bad tile is reported.

    Args:
        strict: the first failure ends the run with a `TileError`.
        listener: called with every event (see `rsretrieve.progress`).

    Attributes:
        strict: see above.
        failures: the tiles that could not be used, with reasons, in the order of their detection.
        skipped: the windows that were skipped because of too much nodata.
        unread: the number of further windows skipped because the file stores no data there.
        class_sizes: how many tiles of each class were found.
        cost: measures what the run costs since the context was made.

    >>> context = RunContext(listener=print)
    >>> context.notice("no class has fewer than 10 tiles")
    Noticed(text='no class has fewer than 10 tiles')
    """

    def __init__(self, *, strict: bool = False, listener: Listener = ignore_events) -> None:
        self.strict = strict
        self.failures: list[Failure] = []
        self.skipped: list[Tile] = []
        self.unread = 0
        self._notes = NoteCounts()
        self.class_sizes: Counter[str] = Counter()
        self._listener = listener
        self.cost = CostMeter()

    def fresh(self) -> RunContext:
        """A context for other work, without failures, with the same listener."""
        return RunContext(strict=self.strict, listener=self._listener)

    @property
    def notices(self) -> tuple[str, ...]:
        """Messages for the user besides the failures."""
        notices = []
        if count := len(self.skipped) + self.unread:
            notices.append(f"windows skipped for more nodata than --max-nodata allows: {count}")
        unusable = Counter(bad.tile.label for bad in self.failures)
        if lost := [n for n, size in sorted(self.class_sizes.items()) if unusable[n] >= size]:
            notices.append(
                f"classes without a readable tile: {len(lost)} ({some_of(lost, _SHOWN)})"
            )
        return (*notices, *self._notes.sentences())

    def add_notes(self, tile_id: str, notes: Iterable[Note]) -> None:
        """Count the notes about a tile that was read."""
        self._notes.add(tile_id, notes)

    def count_classes(self, tiles: TileSet) -> None:
        """Count the tiles of each class, to notice a class of which none can be read."""
        self.class_sizes.update(tile.label for tile in tiles if tile.label is not None)

    def add_failure(self, failure: Failure) -> None:
        """Record a tile that could not be used, or a window that was skipped.

        Raises:
            TileError: the context is strict, and the tile was not skipped.
        """
        if failure.skipped:
            self.skipped.append(failure.tile)
            return
        if self.strict:
            raise TileError(failure.tile_id, failure.reason)
        self.failures.append(failure)

    def report(self, event: Event) -> None:
        """Pass an event to the listener."""
        self._listener(event)

    def start_stage(self, name: str, total: int | None = None) -> None:
        """Report the start of a stage: its name, and its number of tiles if that is known."""
        self._listener(StageStarted(name, total))

    def advance(self, tiles: int) -> None:
        """Report that more tiles of the stage are done."""
        self._listener(Advanced(tiles))

    def notice(self, text: str) -> None:
        """Report a message to the user; the work goes on."""
        self._listener(Noticed(text))
