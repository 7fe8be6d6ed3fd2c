"""What an unfinished indexing has embedded so far, so that the next one goes on from there.

It lies beside the index that is being made, and goes when that is written. Two files only
ever grow: the vectors, and a line for each with its tile and a checksum over both. What a
crash cut short does not have the right checksum, and is embedded again.
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
from rsretrieve.data.geo.place import Place
from rsretrieve.index.store.tile_table import IndexedTile

_ROWS_FILE, _VECTORS_FILE = "rows.jsonl", "vectors.bin"


@dataclass(frozen=True)
class JournalEntries:
    """What was embedded: row i is vector i."""

    rows: list[IndexedTile]
    vectors: NDArray[np.float32]


class Journal:
    """The journal of the index that will stand at a place.

    Args:
        index: the index folder.
        fingerprint: of the model that embeds.
        dimensions: D.
        windows: how scenes are cut: what another choice skips stands in no journal of its.
    """

    def __init__(
        self,
        index: Path,
        fingerprint: str,
        dimensions: int,
        windows: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder = resolved(index).with_name(f".{resolved(index).name}.embedding")
        head = {"model_fingerprint": fingerprint, "dimensions": dimensions}
        self._head = json.dumps({**head, **({"windows": dict(windows)} if windows else {})})
        self._dimensions = dimensions

    def read(self) -> JournalEntries:
        """What is whole of an earlier run by the same model; what is not is cut off."""
        rows: list[IndexedTile] = []
        vectors = np.empty((0, self._dimensions), np.float32)
        if self.folder.is_dir():
            vectors = self._stored_vectors()
            length = 0
            for line, row in self._whole_lines(vectors):
                rows += [] if row is None else [row]
                length += len(line)
            if not length:
                self.discard()
            else:
                os.truncate(self.folder / _ROWS_FILE, length)
                os.truncate(self.folder / _VECTORS_FILE, len(rows) * self._dimensions * 4)
        return JournalEntries(rows, vectors[: len(rows)])

    def append(self, rows: Sequence[IndexedTile], vectors: NDArray[np.float32]) -> None:
        """Note tiles with their vectors.

        Raises:
            OSError: no room, no permission; what was noted before is kept.
        """
        fresh = not self.folder.is_dir()
        content = np.ascontiguousarray(vectors, "<f4")
        try:
            with naming_full_disk(self.folder):
                self.folder.mkdir(parents=True, exist_ok=True)
                with (self.folder / _VECTORS_FILE).open("ab") as stream:
                    stream.write(content.tobytes())
                with (self.folder / _ROWS_FILE).open("ab") as stream:
                    if fresh:
                        stream.write(f"{self._head}\n".encode())
                    stream.write(b"".join(map(_line, rows, content)))
        except OSError:
            if fresh:  # there is nothing to go on from
                self.discard()
            raise

    def discard(self) -> None:
        """Remove it."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _stored_vectors(self) -> NDArray[np.float32]:
        try:
            content = (self.folder / _VECTORS_FILE).read_bytes()
        except FileNotFoundError:
            content = b""
        whole = len(content) // (4 * self._dimensions)
        flat = np.frombuffer(content, "<f4", whole * self._dimensions)
        return flat.reshape(whole, self._dimensions).astype(np.float32)

    def _whole_lines(
        self, vectors: NDArray[np.float32]
    ) -> Iterator[tuple[bytes, IndexedTile | None]]:
        """The head, if it is ours, and then every line up to the first that is not whole."""
        try:
            with (self.folder / _ROWS_FILE).open("rb") as stream:
                head = stream.readline()
                if head != f"{self._head}\n".encode():
                    return
                yield head, None
                for line, vector in zip(stream, vectors):
                    row = _row(line, vector)
                    if row is None:
                        return
                    yield line, row
        except FileNotFoundError:
            return


def _line(row: IndexedTile, vector: NDArray[np.float32]) -> bytes:
    text = json.dumps(asdict(row), ensure_ascii=True)
    return f"{_checksum(text, vector):08x} {text}\n".encode()


def _row(line: bytes, vector: NDArray[np.float32]) -> IndexedTile | None:
    """The tile of a line, or None where the line or its vector is not whole."""
    try:
        checksum, _, text = line.decode("ascii").rstrip("\n").partition(" ")
        if not line.endswith(b"\n") or int(checksum, 16) != _checksum(text, vector):
            return None
        values: dict[str, Any] = json.loads(text)
    except ValueError:
        return None
    place = values.pop("place")
    if place is not None:
        corners = tuple((lon, lat) for lon, lat in place["footprint"])
        place = Place(place["crs"], tuple(place["bounds"]), corners)
    return IndexedTile(**values, place=place)


def _checksum(text: str, vector: NDArray[np.float32]) -> int:
    return zlib.crc32(np.ascontiguousarray(vector, "<f4").tobytes(), zlib.crc32(text.encode()))
