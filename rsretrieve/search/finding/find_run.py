"""One run of a search for a kind: begin or go on, take answers, save."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rsretrieve.data.tile import Trust
from rsretrieve.errors import InputError, InvalidArgument
from rsretrieve.index.store.folder import IndexStore
from rsretrieve.search.finding.find_kind import KindFinder, require_same_embedding
from rsretrieve.search.finding.find_session import (
    Answer,
    FindSession,
    read_session,
    write_session,
)
from rsretrieve.search.finding.given_answers import read_answers
from rsretrieve.search.finding.given_examples import look_up_examples
from rsretrieve.search.finding.kind_estimate import Targets
from rsretrieve.search.search import SearchContext


class FindRun:
    """A search whose session lies in a file.

    Args:
        store: the index.
        path: the session; a new one if there is no such file.
        context: the model, the device, and where failures are recorded.
        targets: the precision and the recall to reach.
        trust: how far the files of examples are trusted.
        seed: of a new session; None for 0, or for that of the session.

    Attributes:
        finder: the search; there is none before `begin`.

    Raises:
        InputError: the file is no session.
        ModelMismatch: the session belongs to an index of another model.
        InvalidArgument: the session has another seed.
    """

    finder: KindFinder

    def __init__(
        self,
        store: IndexStore,
        path: Path,
        context: SearchContext,
        *,
        targets: Targets | None = None,
        trust: Trust = Trust.NAMED,
        seed: int | None = None,
    ) -> None:
        self._store, self.path = store, path
        self._context, self._targets, self._trust = context, targets, trust
        self._session = self._opened(seed)

    def begin(
        self, likes: Sequence[str], unlikes: Sequence[str], answers: Sequence[Path]
    ) -> list[str]:
        """Add examples and answers, and rank all tiles.

        Args:
            likes: examples of the wanted kind.
            unlikes: examples of other kinds.
            answers: files of answers.

        Returns:
            Notices.

        Raises:
            InputError: there is no example of the wanted kind, or an example does not exist.
            LabelsError, TableError: a file of answers cannot be used.
        """
        session = self._session
        notices: list[str] = []
        if likes or unlikes:
            examples = look_up_examples(self._store, likes, unlikes, self._context, self._trust)
            session = session.with_examples(examples)
        if not any(example.wanted for example in session.examples):
            raise InputError(
                f"there is no session {self.path} yet, and no example of the wanted kind",
                hint="give one with --like EXAMPLE",
            )
        ids = {*self._store.rows.column("id")} if answers else set()
        for path in answers:
            given = read_answers(path, ids)
            session = session.with_answers(given.answers)
            notices += given.notices
        self.finder = KindFinder(self._store, session, self._targets)
        return notices

    def answer(self, answers: Mapping[str, Answer]) -> None:
        """Take answers, by tile id, and save them."""
        self.finder.answer(answers)
        self.save()

    def keep(self, answers: Mapping[str, Answer]) -> None:
        """Write the session with more answers, by which the tiles are not ranked yet."""
        write_session(self.path, self.finder.session.with_answers(answers))

    def save(self) -> None:
        """Write the session."""
        write_session(self.path, self.finder.session)

    def _opened(self, seed: int | None) -> FindSession:
        if not self.path.exists():
            manifest = self._store.manifest
            fingerprint, dimensions = manifest.model_fingerprint, manifest.dimensions
            return FindSession(str(self._store.folder), fingerprint, dimensions, seed or 0)
        session = read_session(self.path)
        require_same_embedding(self._store, session)
        if seed not in (None, session.seed):
            raise InvalidArgument(
                f"the session {self.path} began with the seed {session.seed}, not {seed}",
                hint="leave out --seed, or begin another session with --session FILE",
            )
        return session
