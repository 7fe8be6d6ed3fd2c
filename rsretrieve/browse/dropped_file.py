"""A file that was dropped on the page, for as long as it is searched."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rsretrieve._core.text import shortened_in_middle
from rsretrieve.errors import InputError, RsretrieveError

_SHOWN = 80  # characters of a name
_STEM = "dropped"


@dataclass(frozen=True)
class DroppedFile:
    """A file as the browser sent it.

    Attributes:
        name: as the user calls it.
        suffix: of the name, in lower case.
        content: its bytes.
    """

    name: str
    suffix: str
    content: bytes = field(repr=False)

    @contextmanager
    def on_disk(self) -> Iterator[Path]:
        """The path of the file on disk, which is then removed.

        Raises:
            InputError: instead of an error of the work, which names the path: with the file's name.
        """
        with tempfile.TemporaryDirectory(prefix="rsretrieve-") as made:
            path = Path(made).resolve() / f"{_STEM}{self.suffix}"
            path.write_bytes(self.content)
            try:
                yield path
            except RsretrieveError as error:
                raise InputError(
                    self._named(error.message, path), hint=self._named(error.hint, path)
                ) from error

    def _named(self, text: str, path: Path) -> str:
        """A message that names the file as the user does."""
        name = shortened_in_middle(self.name, _SHOWN, len)
        folders = f"(?:{re.escape(str(path.parent))}/)?"
        return re.sub(folders + re.escape(path.name), lambda _: name, text)
