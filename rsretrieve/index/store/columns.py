"""What is asked of the id table as a whole: whole columns, and never a record a row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsretrieve.index.store.tile_table import TileTable


def find_rows(table: TileTable, column: str, text: str) -> NDArray[np.int64]:
    """The rows whose field in a column of texts is `text`.

    Fields of the wrong length are out at once, the others byte by byte from their ends, where
    ids and paths differ: no field is ever made a Python text.
    """
    wanted = text.encode("utf-8", "surrogatepass")
    found, first = [], 0
    for chunk in table.columns.column(column).chunks:
        if len(chunk):
            found.append(first + _rows_of_chunk(chunk, wanted))
        first += len(chunk)
    return np.concatenate(found) if found else np.empty(0, np.int64)


def _rows_of_chunk(chunk: object, wanted: bytes) -> NDArray[np.int64]:
    _, offsets_buffer, bytes_buffer = chunk.buffers()  # type: ignore[attr-defined]
    first, count = chunk.offset, len(chunk)  # type: ignore[attr-defined,arg-type]
    offsets = np.frombuffer(offsets_buffer, np.int32)[first : first + count + 1]
    rows = np.flatnonzero(np.diff(offsets) == len(wanted))
    if wanted and len(rows):
        content = np.frombuffer(bytes_buffer, np.uint8)
        for place in reversed(range(len(wanted))):
            rows = rows[content[offsets[rows] + place] == wanted[place]]
    return rows.astype(np.int64)


def encode_column(table: TileTable, column: str) -> tuple[NDArray[np.int64], list[str]]:
    """A column of texts as (N,) numbers and the texts they stand for; an absent field is −1."""
    encoded = table.columns.column(column).combine_chunks().dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    names: list[str] = encoded.dictionary.to_pylist()
    return codes.astype(np.int64), names


@dataclass(frozen=True)
class Footprints:
    """The footprints of all tiles that have one.

    Attributes:
        rows: (M,) the rows of the tiles.
        starts: (M + 1,) where each footprint's corners start in `corners`.
        corners: (C, 2) lon and lat in degrees.
    """

    rows: NDArray[np.int64]
    starts: NDArray[np.int64]
    corners: NDArray[np.float64]

    @classmethod
    def of(cls, table: TileTable) -> Footprints:
        """Those of a table."""
        rows, lengths, corners, first = [], [], [], 0
        for chunk in table.columns.column("footprint").chunks:
            offsets = chunk.offsets.to_numpy()
            pairs = chunk.values.flatten().to_numpy(zero_copy_only=False).reshape(-1, 2)
            # `values` is the whole buffer, also of a slice of it.
            counts = np.diff(offsets)
            there = np.flatnonzero(counts)
            rows.append(first + there)
            lengths.append(counts[there])
            corners.append(pairs[offsets[0] : offsets[-1]])
            first += len(chunk)
        if not rows:
            return cls(np.empty(0, np.int64), np.zeros(1, np.int64), np.empty((0, 2)))
        starts = np.concatenate(([0], np.cumsum(np.concatenate(lengths))))
        return cls(np.concatenate(rows), starts.astype(np.int64), np.concatenate(corners))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, position: int) -> list[tuple[float, float]]:
        """The corners of one of the M footprints."""
        part = self.corners[self.starts[position] : self.starts[position + 1]]
        return [(float(lon), float(lat)) for lon, lat in part]

    def crosses_antimeridian(self) -> NDArray[np.bool_]:
        """(M,) whether a footprint goes over ±180, as `tiles.footprints` tells it."""
        if not len(self):
            return np.empty(0, bool)
        firsts, ends = self.starts[:-1], self.starts[1:] - 1
        following = np.arange(1, len(self.corners) + 1)
        following[ends] = firsts
        (x, y), (a, b) = self.corners.T, self.corners[following].T
        span = np.maximum.reduceat(x, firsts) - np.minimum.reduceat(x, firsts)
        return np.asarray((span > 180) & (np.add.reduceat(x * b - a * y, firsts) < 0))

    def boxes(self) -> NDArray[np.float64]:
        """(M, 4) west, south, east, north of each; one that crosses ±180 reaches over it.

        A tile across the antimeridian goes from 179 to 181 and not around the globe.
        """
        if not len(self):
            return np.empty((0, 4))
        firsts = self.starts[:-1]
        lon, lat = self.corners.T
        crossing = np.repeat(self.crosses_antimeridian(), np.diff(self.starts))
        lon = np.where(crossing & (lon < 0), lon + 360, lon)
        columns = (
            np.minimum.reduceat(lon, firsts),
            np.minimum.reduceat(lat, firsts),
            np.maximum.reduceat(lon, firsts),
            np.maximum.reduceat(lat, firsts),
        )
        return np.stack(columns, axis=1)
