"""A search for all tiles of a kind: what to look at next, what was found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rsretrieve._core.locks import only_writer
from rsretrieve.api.arguments.checks import PathLike, flag, path_of, plain_text, whole, wrong
from rsretrieve.api.call_report import CallReport
from rsretrieve.api.finding.placed_files import PlacedFiles
from rsretrieve.api.opened_index import Index
from rsretrieve.data.geo.place import Place
from rsretrieve.export.found.found_tiles import (
    found_table,
    write_kind_labels,
    write_proposal_sheet,
    write_proposals,
)
from rsretrieve.export.found.placed_table import PlacedTable
from rsretrieve.index.store.folder import IndexStore
from rsretrieve.search.finding.find_kind import FoundKind
from rsretrieve.search.finding.find_run import FindRun
from rsretrieve.search.finding.find_session import Answer
from rsretrieve.search.finding.given_answers import answer_of, read_answers
from rsretrieve.search.finding.kind_estimate import KindEstimate
from rsretrieve.search.finding.proposals import Proposal

AnswerLike = bool | str | None


@dataclass(frozen=True)
class Proposed:
    """A tile to look at.

    Attributes:
        tile: its id.
        path: of its file.
        rank: among all tiles, from 1.
        probability: that it is of the kind, 0…1.
        reason: `likely`, `uncertain`, `random`, or `again` if it was proposed before.
        place: where it lies, or None.

    Example:
        >>> import rsretrieve
        >>> finder = rsretrieve.find("index", "beach/beach_1_7.tif", session="one-beach.json")
        >>> first = finder.propose(3)[0]
        >>> first.tile.endswith(".tif"), first.rank >= 1, 0 <= first.probability <= 1
        (True, True, True)
    """

    tile: str
    path: str
    rank: int
    probability: float
    reason: str
    place: Place | None


class Finder(PlacedFiles):
    """A search for all tiles of a kind.

    Made by `find`. Its tables and files have a row for each found tile: `tile`, `rank`,
    `probability`, `answer`, `path`, `label`, `crs`, `lon`, `lat`.

    Attributes:
        path: the session, which keeps examples and answers; it is written after each change. If
            another program went on with it, the next change begins with what it added.
        proposals: the tiles to look at, as `propose` gave them last.

    Example:
        >>> import rsretrieve
        >>> finder = rsretrieve.find("index", "beach/beach_1_7.tif", session="beach.json")
        >>> proposals = finder.propose(10)
        >>> finder.answer({each.tile: "beach/" in each.tile for each in proposals})
        >>> low, high = finder.estimate.count.low, finder.estimate.count.high
        >>> low <= 16 <= high
        True
        >>> finder.to_csv("beach.csv")
        >>> finder.to_geojson("beach.geojson")
        >>> finder.to_geoparquet("beach.parquet")
        >>> finder.to_labels("beach-labels.csv", "beach")
        >>> len(finder.to_dataframe()) == len(finder.to_geodataframe()) == len(finder)
        True

        The next proposals as a picture, and as a table to fill in:

        >>> proposals = finder.propose(5)
        >>> finder.to_sheet("next.png")
        >>> finder.to_proposals("next.csv")
    """

    def __init__(
        self, index: Index, run: FindRun, min_probability: float, bands: tuple[int, ...]
    ) -> None:
        self.path = run.path
        self.proposals: tuple[Proposed, ...] = ()
        self._index, self._run, self._bands = index, run, bands
        self._least = min_probability
        self._shown: list[Proposal] = []

    def propose(self, count: int = 10) -> tuple[Proposed, ...]:
        """The tiles to look at next: likely, uncertain and random ones.

        Args:
            count: number of tiles; those without an answer are proposed again.

        Raises:
            InvalidArgument: an argument is of a wrong type.
            OutputBusy: another process writes the session.
            OutputExists: the session was removed, or replaced by that of another search.
        """
        with CallReport(None):
            wanted = whole(count, "count", 1)
            with only_writer(self.path):
                self._shown = self._run.propose(wanted)
        self.proposals = tuple(map(self._proposed, self._shown))
        return self.proposals

    def answer(self, answers: Mapping[str, AnswerLike] | PathLike) -> None:
        """Take answers, save them, and rank all tiles again.

        Args:
            answers: by tile id: True (or "yes"), False ("no"), None ("unsure"); or a file with the
                columns `tile` and `answer`.

        Raises:
            InvalidArgument: an argument is of a wrong type, or an answer is unknown.
            InputError: a tile is not in the index, or no positive is left.
            OutputBusy: another process writes the session.
            OutputExists: the session was removed, or replaced by that of another search.
        """
        with CallReport(None) as call:
            ids = {*self._index.store.rows.column("id")}
            if isinstance(answers, Mapping):
                given = {plain_text(t, "a tile"): _answer(a) for t, a in answers.items()}
                if unknown := [tile for tile in given if tile not in ids]:
                    raise wrong("answers", "by ids of the index's tiles", unknown[0])
            else:
                found = read_answers(path_of(answers, "answers"), ids)
                given = found.answers
                call.notice(*found.notices)
            with only_writer(self.path):
                self._run.answer(given)

    @property
    def answers(self) -> dict[str, bool | None]:
        """The answers so far, by tile id; None for unsure."""
        named = {Answer.YES: True, Answer.NO: False, Answer.UNSURE: None}
        return {tile: named[given] for tile, given in self._run.finder.session.answers.items()}

    @property
    def estimate(self) -> KindEstimate | None:
        """How many tiles of the kind there are, and precision and recall of the found tiles.

        `count`, `precision` and `recall` have `value`, `low` and `high` (95 %). None with fewer
        than 10 answers on proposed tiles.
        """
        return self._found.estimate

    @property
    def is_enough(self) -> bool:
        """Whether the targets are probably reached: it is time to stop."""
        return self._found.is_enough

    def __len__(self) -> int:
        """The number of found tiles."""
        return len(self._found.rows)

    def to_labels(self, path: PathLike, label: str, *, overwrite: bool = False) -> None:
        """Write a labels file to train on; answers are confirmed labels.

        Args:
            path: the file to write.
            label: of the found tiles; tiles with the answer no get `not LABEL`.
            overwrite: replace a file that is there.

        Raises:
            InvalidArgument: an argument is of a wrong type.
            OutputExists, OutputRefused: `path` may not be written.
        """
        with CallReport(None):
            file, replaces = self._output(path, overwrite)
            name, session = plain_text(label, "label"), self._run.finder.session
            if not name.strip():
                raise wrong("label", "a text that is not empty", label)
            store = self._index.store
            write_kind_labels(file, store, self._found, session, name, overwrite=replaces)

    def to_proposals(self, path: PathLike, *, overwrite: bool = False) -> None:
        """Write the last proposals as CSV, to fill in the column `answer`; as `to_csv`."""
        with CallReport(None):
            file, replaces = self._output(path, overwrite)
            write_proposals(file, self._index.store, self._shown, overwrite=replaces)

    def to_sheet(
        self, path: PathLike, *, overwrite: bool = False, trust_sources: bool = False
    ) -> None:
        """Draw the last proposals as a PNG picture.

        Args:
            path: the file to write.
            overwrite: replace a file that is there.
            trust_sources: open whatever the tiles' files name, too.

        Raises:
            InvalidArgument: an argument is of a wrong type.
            OutputExists, OutputRefused: `path` may not be written.
        """
        with CallReport(None):
            file, replaces = self._output(path, overwrite)
            write_proposal_sheet(
                file,
                self._index.store,
                self._shown,
                self._bands,
                overwrite=replaces,
                trusted=flag(trust_sources, "trust_sources"),
            )

    @property
    def _found(self) -> FoundKind:
        return self._run.finder.found(self._least)

    def _table(self) -> PlacedTable:
        return found_table(self._index.store, self._found, self._run.finder.session)

    def _stores(self) -> tuple[IndexStore, ...]:
        return (self._index.store,)

    def _proposed(self, proposal: Proposal) -> Proposed:
        row = self._index.store.rows[proposal.row]
        probability, reason = proposal.probability, str(proposal.reason)
        return Proposed(row.id, row.path, proposal.rank, probability, reason, row.place)

    def __repr__(self) -> str:
        return f"<Finder {self.path.name!r}: {len(self):,} tiles found>"


def _answer(value: AnswerLike) -> Answer:
    if value is None:
        return Answer.UNSURE
    if isinstance(value, bool):
        return Answer.YES if value else Answer.NO
    found = answer_of(value) if isinstance(value, str) else None
    if found is None:
        raise wrong("an answer", "True, False, None, 'yes', 'no' or 'unsure'", value)
    return found
