"""Find all tiles of a kind on the page: the same search as `rsretrieve find`, and the same file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

from rsretrieve._core.locks import only_writer
from rsretrieve.errors import InvalidArgument
from rsretrieve.index.store.folder import IndexStore
from rsretrieve.search.finding.find_kind import KindFinder
from rsretrieve.search.finding.find_session import Answer, FindSession, GivenExample
from rsretrieve.search.finding.kind_ranking import KindSearch
from rsretrieve.search.finding.session_file import SessionFile

PROPOSED = 10
_MIN_PROBABILITY = 0.5
_MOST_SHOWN = 10_000


class KindSearchFile:
    """A search for all tiles of a kind, whose session lies in a file.

    If `rsretrieve find` goes on with the session meanwhile, the search goes on from there.

    Args:
        store: the index.
        path: the session; one that is there goes on.

    Raises:
        InputError: the file is no session.
        ModelMismatch: it belongs to an index of another model.
    """

    def __init__(self, store: IndexStore, path: Path) -> None:
        self.path, self._store, self._lock = path, store, Lock()
        self._finder: KindFinder | None = None
        self._search: KindSearch | None = None
        self._file = SessionFile(path, store)

    @property
    def goes_on(self) -> bool:
        """Whether there is a session to go on with."""
        return self._session is not None

    def begin(self, likes: Sequence[str], unlikes: Sequence[str]) -> dict[str, Any]:
        """Begin, or go on with the session and more examples.

        Args:
            likes: ids of tiles of the wanted kind.
            unlikes: ids of other tiles.

        Returns:
            The state; see `answer`.

        Raises:
            InputError: there is no example of the wanted kind.
            OutputBusy: another process writes the session.
            OutputExists: the session was removed, or is that of another search.
        """
        with self._changing():
            manifest = self._store.manifest
            session = self._session or FindSession(
                str(self._store.folder), manifest.model_fingerprint, manifest.dimensions
            )
            examples = [
                GivenExample(tile, wanted, tile)
                for tiles, wanted in ((likes, True), (unlikes, False))
                for tile in tiles
            ]
            self._search = self._search or KindSearch(self._store.vectors)
            notices = (
                *self._goes_on_with(session, examples),
                *session.answered_otherwise(examples),
            )
            session = session.with_examples(examples)
            self._finder = KindFinder(self._store, session, search=self._search)
            return self._proposed(self._finder, notices)

    def answer(self, answers: Mapping[str, str]) -> dict[str, Any]:
        """Take answers, and propose the next tiles.

        Args:
            answers: `yes`, `no` or `unsure` by tile id.

        Returns:
            `proposals` (row, tile, probability), `found` (how many tiles), `confirmed`, `answers`,
            `enough`; with enough answers `count`, `precision` and `recall`, each as value, low and
            high; and `file`.

        Raises:
            InvalidArgument: the search has not begun, or an answer is none of the three.
            OutputBusy: another process writes the session.
            OutputExists: the session was removed, or is that of another search.
        """
        with self._changing():
            finder = self._begun()
            try:
                finder.answer({tile: Answer(answer) for tile, answer in answers.items()})
            except ValueError as error:
                raise InvalidArgument("an answer is yes, no or unsure") from error
            return self._proposed(finder)

    def found(self) -> list[dict[str, Any]]:
        """The found tiles, the likeliest first: row, probability, and whether it is confirmed.

        Raises:
            InvalidArgument: the search has not begun.
        """
        with self._lock:
            found = self._begun().found(_MIN_PROBABILITY)
        columns = (found.rows.tolist(), found.probabilities.tolist(), found.confirmed.tolist())
        return [
            {"row": row, "probability": round(probability, 3), "confirmed": confirmed}
            for row, probability, confirmed in list(zip(*columns))[:_MOST_SHOWN]
        ]

    def _goes_on_with(self, session: FindSession, given: Sequence[GivenExample]) -> list[str]:
        """The notice that a session has other examples than those that are given."""
        asked = {example.tile for example in given}
        others = [example for example in session.examples if example.tile not in asked]
        if not given or not others:
            return []
        return [
            f"this goes on with the search in {self.path}, which has {len(others)} other examples "
            f"and {len(session.answers)} answers; to search for another kind, start "
            "`rsretrieve browse` with another --session"
        ]

    @property
    def _session(self) -> FindSession | None:
        return self._file.session if self._finder is None else self._finder.session

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Lock the session, and take over what another program added to it."""
        with self._lock, only_writer(self.path):
            newer = self._file.newer()
            if newer is not None and self._finder is not None:
                self._finder = KindFinder(self._store, newer, search=self._search)
            yield

    def _begun(self) -> KindFinder:
        if self._finder is None:
            raise InvalidArgument("the search has not begun: answer yes about a tile first")
        return self._finder

    def _proposed(self, finder: KindFinder, notices: Sequence[str] = ()) -> dict[str, Any]:
        proposals = finder.propose(PROPOSED)
        self._file.write(finder.session)
        found = finder.found(_MIN_PROBABILITY)
        state: dict[str, Any] = {
            "proposals": [
                {"row": one.row, "probability": round(one.probability, 3)} for one in proposals
            ],
            "found": len(found.rows),
            "confirmed": int(found.confirmed.sum()),
            "answers": finder.evidence,
            "enough": found.is_enough,
            "file": str(self.path),
            "notices": [*notices, *finder.notices],
        }
        if found.estimate is not None:
            for name in ("count", "precision", "recall"):
                figure = getattr(found.estimate, name)
                state[name] = [figure.value, figure.low, figure.high]
        return state
