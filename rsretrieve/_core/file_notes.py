"""Notes in the user's cache about large files, so that they are not read each time.

A note holds the size, times and inode of the file: as long as they stay the same, nobody has
written to it. It is made of a file that is large enough for a note to be worth it.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rsretrieve._core.atomic_write import write_json
from rsretrieve._core.cache_dir import cache_dir

NOTED_FROM_BYTES = 256 << 20  # smaller files are read in a moment


@dataclass(frozen=True)
class FileNote:
    """A note that a file in its present state was checked.

    Attributes:
        path: the note; None for a small file, and if the user has no cache folder.
        content: the state of the file, and what was checked.
    """

    path: Path | None
    content: list[object]

    @classmethod
    def of(cls, file: Path, folder: str, checked: str, least_bytes: int) -> FileNote:
        """The note of a file, which need not be there.

        Args:
            file: the file.
            folder: the folder of the cache for this kind of notes.
            checked: what is checked, such as an expected checksum.
            least_bytes: the size of a file from which notes are kept.

        Raises:
            OSError: the file cannot be examined.
        """
        status = file.stat()
        # Programs cannot set the ctime.
        times = [status.st_mtime_ns, status.st_ctime_ns]
        content = [status.st_size, *times, status.st_ino, status.st_dev, checked]
        root = cache_dir() if status.st_size >= least_bytes else None
        name = hashlib.sha256(os.fsencode(file.resolve())).hexdigest()[:32]
        return cls(None if root is None else root / folder / f"{name}.json", content)

    @property
    def is_kept(self) -> bool:
        """Whether the note is there and the file has not changed since."""
        try:
            return self.path is not None and self.content == json.loads(
                self.path.read_text(encoding="utf-8")
            )
        except (OSError, ValueError):
            return False

    def keep(self) -> None:
        """Write the note; a note that cannot be written costs only time."""
        if self.path is not None:
            with suppress(OSError):
                write_json(self.path, self.content, overwrite=True, follow=False)
