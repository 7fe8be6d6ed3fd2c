"""The journal of an unfinished run of `index`: its embeddings so far, for the next run to reuse.

The journal is a folder beside the index, and is removed once the index is written. It has two
files, to which each batch is appended: the vectors; and one line per vector, with its tile and a
checksum of both. A line that a crash cut short fails its checksum, and its tile is embedded again.

Plain files, not sqlite3 (WAL): measured on 10,000 vectors of 512 dimensions, SQLite appends at 0.8
of their speed with pauses of 18–34 ms, and keeps nothing of some files that are cut short. Nor must
SQLite parse a database from an untrusted folder, and WAL needs a local file system.
"""

from __future__ import annotations

import json
import os
import shutil
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve._core.atomic_write import naming_full_disk, resolved
from rsretrieve._core.folders.own_files import remove_files
from rsretrieve._core.regular_files import open_regular
from rsretrieve.data.dates.acquisition_time import AcquisitionTime
from rsretrieve.data.geo.place import Place
from rsretrieve.index.store.tile_table import IndexedTile

_ROWS_FILE, _VECTORS_FILE = "rows.jsonl", "vectors.bin"


@dataclass(frozen=True)
class JournalEntries:
    """Tiles and their embeddings.

    Attributes:
        rows: N tiles.
        vectors: (N, D) float32; row i is the embedding of tile i.
        length: bytes of the header and of the N lines; 0 if there is no journal of such a run.
    """

    rows: list[IndexedTile]
    vectors: NDArray[np.float32]
    length: int


class Journal:
    """The journal of one index folder.

    A journal of another model, or of other windows, scales or offsets, holds nothing for this run,
    and is discarded when this run starts (`resume`). So is one of anything but regular files.

    Args:
        index: the index folder, which need not exist.
        fingerprint: of the model that embeds.
        dimensions: D.
        windows: how scenes are cut.
        packing: the scale and offset to which tiles are converted.

    Attributes:
        folder: the journal's own folder.
    """

    def __init__(
        self,
        index: Path,
        fingerprint: str,
        dimensions: int,
        windows: Mapping[str, Any] | None = None,
        packing: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder = resolved(index).with_name(f".{resolved(index).name}.embedding")
        header: dict[str, Any] = {"model_fingerprint": fingerprint, "dimensions": dimensions}
        given = {"windows": windows, "packing": packing}
        header |= {name: dict(value) for name, value in given.items() if value}
        self._header = json.dumps(header)
        self._dimensions = dimensions

    def read(self) -> JournalEntries:
        """Read the entries of an earlier run by the same model, up to the first damaged one.

        Nothing on the disk changes.

        Raises:
            OSError: a file cannot be read.
        """
        rows: list[IndexedTile] = []
        if not self._has_own_files():
            return JournalEntries(rows, np.empty((0, self._dimensions), np.float32), 0)
        vectors, length = self._stored_vectors(), 0
        for line, row in self._whole_lines(vectors):
            rows += [] if row is None else [row]
            length += len(line)
        return JournalEntries(rows, vectors[: len(rows)], length)

    def resume(self) -> JournalEntries:
        """Read the entries as `read` does, and prepare the journal so that `append` continues it.

        What follows a damaged entry is cut off. A journal of another run is discarded.

        Raises:
            OSError: a file cannot be read or written.
        """
        found = self.read()
        if found.length:
            os.truncate(self.folder / _ROWS_FILE, found.length)
            os.truncate(self.folder / _VECTORS_FILE, found.vectors.nbytes)
        else:
            self.discard()
        return found

    def append(self, rows: Sequence[IndexedTile], vectors: NDArray[np.float32]) -> None:
        """Add a batch.

        Args:
            rows: B tiles.
            vectors: (B, D) float32.

        Raises:
            OSError: the disk is full or the folder is read-only; earlier batches are kept.
        """
        fresh = not self._has_own_files()  # the folder may have a file of another program
        content = np.ascontiguousarray(vectors, "<f4")
        try:
            with naming_full_disk(self.folder):
                if fresh:
                    self.discard()
                self.folder.mkdir(parents=True, exist_ok=True)
                with (self.folder / _VECTORS_FILE).open("ab") as stream:
                    stream.write(content.tobytes())
                with (self.folder / _ROWS_FILE).open("ab") as stream:
                    if fresh:
                        stream.write(f"{self._header}\n".encode())
                    stream.write(b"".join(map(_line, rows, content)))
        except OSError:
            if fresh:  # there is nothing to resume
                self.discard()
            raise

    def discard(self) -> None:
        """Remove the journal."""
        if self.folder.is_symlink():
            self.folder.unlink()
        for name in (_ROWS_FILE, _VECTORS_FILE):
            if (self.folder / name).is_dir() and not (self.folder / name).is_symlink():
                shutil.rmtree(self.folder / name)  # nobody can write a journal there
        remove_files(self.folder, (_ROWS_FILE, _VECTORS_FILE).__contains__)

    def _stored_vectors(self) -> NDArray[np.float32]:
        with open_regular(self.folder / _VECTORS_FILE) as stream:
            content = stream.read()
        whole = len(content) // (4 * self._dimensions)
        flat = np.frombuffer(content, "<f4", whole * self._dimensions)
        return flat.reshape(whole, self._dimensions).astype(np.float32)

    def _whole_lines(
        self, vectors: NDArray[np.float32]
    ) -> Iterator[tuple[bytes, IndexedTile | None]]:
        """The header if it is ours, then every line up to the first damaged one, with its tile."""
        with open_regular(self.folder / _ROWS_FILE) as stream:
            header = stream.readline()
            if header != f"{self._header}\n".encode():
                return
            yield header, None
            for line, vector in zip(stream, vectors):
                row = _row(line, vector)
                if row is None:
                    return
                yield line, row

    def _has_own_files(self) -> bool:
        """Whether both files are there. A link could make a later run write elsewhere."""
        paths = (self.folder / _ROWS_FILE, self.folder / _VECTORS_FILE)
        is_linked = any(path.is_symlink() for path in (self.folder, *paths))
        return not is_linked and all(path.is_file() for path in paths)


def _line(row: IndexedTile, vector: NDArray[np.float32]) -> bytes:
    text = json.dumps(asdict(row), ensure_ascii=True)
    return f"{_checksum(text, vector):08x} {text}\n".encode()


def _row(line: bytes, vector: NDArray[np.float32]) -> IndexedTile | None:
    """The tile of a line; None if the line or its vector is damaged."""
    try:
        checksum, _, text = line.decode("ascii").rstrip("\n").partition(" ")
        if not line.endswith(b"\n") or int(checksum, 16) != _checksum(text, vector):
            return None
        values: dict[str, Any] = json.loads(text)
    except ValueError:
        return None
    place = values.pop("place")
    if place is not None:
        place = Place.from_json(place)
    taken = values.pop("taken", None)  # missing in the journals of earlier versions
    if taken is not None:
        taken = AcquisitionTime.from_json(taken)
    return IndexedTile(**values, place=place, taken=taken)


def _checksum(text: str, vector: NDArray[np.float32]) -> int:
    return zlib.crc32(np.ascontiguousarray(vector, "<f4").tobytes(), zlib.crc32(text.encode()))
