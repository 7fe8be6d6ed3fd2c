"""What the cells of a comparison report: each notice and each bad tile once."""

from __future__ import annotations

from collections.abc import Iterable

from rsretrieve.data.failures import Failure
from rsretrieve.data.run_context import RunContext
from rsretrieve.progress import EpochFinished, Event, Noticed


class CellContexts:
    """Contexts of the cells, which say each notice once, and record each bad tile once."""

    def __init__(self, context: RunContext) -> None:
        self.context = context
        self._said: set[str] = set()
        self._failed = {failure.tile_id for failure in context.failures}

    def of_cell(self) -> RunContext:
        """The context of one cell."""
        return RunContext(strict=self.context.strict, listener=self._listen)

    def quiet(self) -> RunContext:
        """A context that says nothing."""
        return RunContext()

    def once(self, text: str) -> None:
        """Say a notice, unless it was said before."""
        if text not in self._said:
            self._said.add(text)
            self.context.notice(text)

    def take_over(self, of_cell: RunContext, recorded: Iterable[Failure] = ()) -> None:
        """Take over the bad tiles and the notices of a cell.

        Args:
            of_cell: the context of the cell.
            recorded: the tiles that could not be used when the cell was made, maybe in an
                earlier run.

        Raises:
            TileError: there is such a tile, and the run is strict.
        """
        for text in of_cell.notices:
            self.once(text)
        for failure in (*of_cell.failures, *recorded):
            if failure.tile_id not in self._failed:
                self._failed.add(failure.tile_id)
                self.context.add_failure(failure)

    def _listen(self, event: Event) -> None:
        if isinstance(event, Noticed):
            self.once(event.text)
        elif isinstance(event, EpochFinished):
            self.context.advance(1)
