"""The file of a session, which several programs may go on with."""

from __future__ import annotations

from pathlib import Path

from rsretrieve.errors import OutputExists
from rsretrieve.index.store.folder import IndexStore
from rsretrieve.search.finding.find_kind import require_same_embedding
from rsretrieve.search.finding.find_session import FindSession, read_session, write_session
from rsretrieve.search.finding.watched_file import WatchedFile


class SessionFile:
    """A session in a file. Whoever calls `newer` or `write` holds the lock `only_writer(path)`.

    Args:
        path: the file; it need not exist.
        store: the index that is searched.

    Attributes:
        session: what the file holds, as this program last read or wrote it; None if there was no
            file.

    Raises:
        InputError: the file is no session.
        ModelMismatch: the session belongs to an index of another model.
    """

    def __init__(self, path: Path, store: IndexStore) -> None:
        self.path, self._store = path, store
        self._file = WatchedFile(path)
        self.session: FindSession | None = None
        if path.exists():
            with self._file.reading():
                self.session = self._read()

    def newer(self) -> FindSession | None:
        """The session with what another program added to it; None if the file is unchanged.

        Raises:
            OutputExists: the file was removed, or holds another search.
            InputError: the file is no session.
            ModelMismatch: the session belongs to an index of another model.
        """
        if not self._file.is_changed:
            return None
        with self._file.reading():  # what is refused stays a change
            found = self._read() if self.path.exists() else None
            if found is None or self.session is None or not found.continues(self.session):
                raise self._refusal()
        self.session = found
        return found

    def write(self, session: FindSession) -> None:
        """Write the session; it replaces the file.

        Raises:
            OutputExists: the session lacks some of what the file holds.
        """
        if self.session is not None and not session.continues(self.session):
            raise self._refusal()
        with self._file.writing() as aside:
            write_session(aside, session)
        self.session = session

    def _refusal(self) -> OutputExists:
        return OutputExists(
            f"{self.path} was changed by another program and is no longer the session of this "
            "search; nothing is written to it",
            hint="restore the file, or begin again with another session file",
        )

    def _read(self) -> FindSession:
        found = read_session(self.path)
        require_same_embedding(self._store, found)
        return found
