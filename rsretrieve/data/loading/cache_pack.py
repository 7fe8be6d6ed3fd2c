"""The files of the tile cache: never changed once written, and checked when read.

A file of n tiles of b bytes holds a header (`_HEADER`), a table of n rows (`_ROW`), n · b bytes
of pixels, and the tiles' places, times and notes as JSON.
"""

from __future__ import annotations

import json
import os
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from struct import Struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve.data.dates.acquisition_time import AcquisitionTime
from rsretrieve.data.geo.place import Place
from rsretrieve.data.notes import Note, known_notes

KEY_BYTES = 16
Waiting = tuple[bytes, bytes, bytes]
"""A tile to be written: its key, its pixels, its place, time and notes as JSON (or empty)."""
About = tuple[Place | None, AcquisitionTime | None, tuple[Note, ...]]
"""The place of a tile, its time, and the notes about it."""

_MAGIC = b"rsrtile1"
_HEADER = Struct("<8sIIII")  # magic, n, b, bytes of all places, checksum of the table
_ROW = np.dtype([("key", "V16"), ("sum", "<u4"), ("place_at", "<u4"), ("place_bytes", "<u4")])


@dataclass(frozen=True)
class KeptTiles:
    """An existing file of tiles.

    Attributes:
        path: the file.
        tile_bytes: b.
        table: (n,) rows of `_ROW`.
    """

    path: Path
    tile_bytes: int
    table: NDArray[Any]

    @classmethod
    def read(cls, path: Path, tile_bytes: int) -> KeptTiles:
        """Read the table.

        Raises:
            OSError: it cannot be read.
            ValueError: it is damaged.
        """
        with path.open("rb") as stream:
            header = stream.read(_HEADER.size)
            size = os.fstat(stream.fileno()).st_size
            if len(header) != _HEADER.size:
                raise ValueError("cut short")
            magic, count, each, places, table_sum = _HEADER.unpack(header)
            if magic != _MAGIC or each != tile_bytes:
                raise ValueError("another file")
            if size != _HEADER.size + count * (_ROW.itemsize + each) + places:
                raise ValueError("cut short")
            table = stream.read(count * _ROW.itemsize)
        if zlib.crc32(table) != table_sum:
            raise ValueError("its table was changed")
        return cls(path, tile_bytes, np.frombuffer(table, _ROW))

    def keys(self) -> Iterator[bytes]:
        """The keys of the tiles, row by row."""
        keys = self.table["key"].tobytes()
        return (keys[at : at + KEY_BYTES] for at in range(0, len(keys), KEY_BYTES))

    def tile(self, row: int) -> tuple[bytes, About]:
        """The pixels of a tile, and what is known about it.

        Raises:
            OSError: the file was removed.
            ValueError: it is damaged.
        """
        pixels_at = _HEADER.size + self.table.nbytes
        entry = self.table[row]
        about = b""
        with self.path.open("rb", buffering=0) as stream:
            stream.seek(pixels_at + row * self.tile_bytes)
            pixels = stream.read(self.tile_bytes)
            if entry["place_bytes"]:
                places_at = pixels_at + len(self.table) * self.tile_bytes
                stream.seek(places_at + int(entry["place_at"]))
                about = stream.read(int(entry["place_bytes"]))
        if zlib.crc32(about, zlib.crc32(pixels)) != entry["sum"]:
            raise ValueError("a tile was changed")
        return pixels, _read_about(about)


def as_json(place: Place | None, taken: AcquisitionTime | None, notes: Sequence[Note]) -> bytes:
    """A tile's place, its time and the notes about it; empty where there is none of these."""
    if place is None and taken is None and not notes:
        return b""
    content: dict[str, Any] = {"place": None if place is None else asdict(place)}
    content |= {"taken": None if taken is None else asdict(taken), "notes": list(notes)}
    return json.dumps(content).encode()


def _read_about(about: bytes) -> About:
    """What was written about a tile.

    Raises:
        ValueError: another version wrote it in another form.
    """
    if not about:
        return None, None, ()
    try:
        content = json.loads(about)
        place, taken = content["place"], content["taken"]
        return (
            None if place is None else Place.from_json(place),
            None if taken is None else AcquisitionTime.from_json(taken),
            known_notes(content["notes"]),
        )
    except (KeyError, TypeError) as error:
        raise ValueError("a place of another form") from error


def as_file(waiting: Sequence[Waiting], tile_bytes: int) -> bytes:
    """The content of a file of these tiles."""
    keys, pixels, places = zip(*waiting)
    lengths = np.array([len(place) for place in places])
    table = np.zeros(len(waiting), _ROW)
    table["key"] = np.frombuffer(b"".join(keys), "V16")
    table["sum"] = [zlib.crc32(place, zlib.crc32(tile)) for tile, place in zip(pixels, places)]
    table["place_at"], table["place_bytes"] = lengths.cumsum() - lengths, lengths
    rows = table.tobytes()
    header = _HEADER.pack(_MAGIC, len(waiting), tile_bytes, lengths.sum(), zlib.crc32(rows))
    return b"".join([header, rows, *pixels, *places])


def write_aside(folder: Path, content: bytes) -> None:
    """Write a temporary file and rename it, unflushed: checksums detect what a crash leaves."""
    handle, name = tempfile.mkstemp(dir=folder, prefix=".", suffix=".unfinished")
    aside = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        aside.rename(folder / f"{aside.stem[1:]}.tiles")
    finally:
        aside.unlink(missing_ok=True)
