"""One run of a search for a kind: begin or go on, take answers, save."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rsretrieve.data.tile import Trust
from rsretrieve.errors import InputError, InvalidArgument
from rsretrieve.index.store.folder import IndexStore
from rsretrieve.search.finding.find_kind import KindFinder
from rsretrieve.search.finding.find_session import Answer, FindSession
from rsretrieve.search.finding.given_answers import read_answers
from rsretrieve.search.finding.given_examples import look_up_examples
from rsretrieve.search.finding.kind_estimate import Targets
from rsretrieve.search.finding.proposals import Proposal
from rsretrieve.search.finding.session_file import SessionFile
from rsretrieve.search.search import SearchContext


class FindRun:
    """A search whose session lies in a file.

    It is made, and its methods are called, while the file is locked by `only_writer`. If another
    program went on with the session since, this search goes on from there.

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
        self._file = SessionFile(path, store)
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
            notices += session.answered_otherwise(examples)
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

    def propose(self, count: int) -> list[Proposal]:
        """Propose tiles to look at next, and save the round.

        Args:
            count: number of tiles.

        Raises:
            OutputExists: the file was removed, or holds another search.
        """
        self._go_on()
        shown = self.finder.propose(count)
        self.save()
        return shown

    def answer(self, answers: Mapping[str, Answer]) -> None:
        """Take answers, by tile id, save them, and rank all tiles again.

        Raises:
            OutputExists: the file was removed, or holds another search.
        """
        self._go_on()
        self.finder.answer(answers)
        self.save()

    def keep(self, answers: Mapping[str, Answer]) -> None:
        """Save more answers, by which the tiles are not ranked yet.

        Raises:
            OutputExists: the file was removed, or holds another search.
        """
        self._go_on()
        self._file.write(self.finder.session.with_answers(answers))

    def save(self) -> None:
        """Write the session."""
        self._file.write(self.finder.session)

    def _go_on(self) -> None:
        """Take over what another program added to the session."""
        newer = self._file.newer()
        if newer is not None:
            self.finder = KindFinder(self._store, newer, self._targets)

    def _opened(self, seed: int | None) -> FindSession:
        session = self._file.session
        if session is None:
            manifest = self._store.manifest
            fingerprint, dimensions = manifest.model_fingerprint, manifest.dimensions
            return FindSession(str(self._store.folder), fingerprint, dimensions, seed or 0)
        if seed not in (None, session.seed):
            raise InvalidArgument(
                f"the session {self.path} began with the seed {session.seed}, not {seed}",
                hint="leave out --seed, or begin another session with --session FILE",
            )
        return session
