"""Operations on whole columns of the id table, which never make one record per row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow
import pyarrow.compute as pc
from numpy.typing import NDArray

from rsretrieve.data.geo.footprints import Parts
from rsretrieve.index.store.tile_table import TileTable

_MOST_BYTES = (1 << 31) - 1
"""Arrow's texts have 32-bit places: an array or a dictionary of them holds no more."""
_BATCH_ROWS = 1 << 17
_WINDOW = (
    r"(?s)^(?P<file>.*)#0*(?P<col>\d{1,9}),0*(?P<row>\d{1,9}),"
    r"0*(?P<width>[1-9]\d{0,8}),0*(?P<height>[1-9]\d{0,8})$"
)


def find_rows(table: TileTable, column: str, text: str) -> NDArray[np.int64]:
    """The rows whose field in a column of texts equals `text`.

    Args:
        table: N tiles.
        column: name of the column.
        text: the field to find.

    Returns:
        (R,) int64, rising.
    """
    try:
        wanted = pyarrow.scalar(text, pyarrow.string())
    except UnicodeEncodeError:  # a lone surrogate; all fields are valid UTF-8
        return np.empty(0, np.int64)
    equal = pc.fill_null(pc.equal(table.columns.column(column), wanted), False)
    return np.flatnonzero(equal.to_numpy())  # pyarrow 18's own crashes where there is no row


def number_texts(column: pyarrow.ChunkedArray) -> tuple[NDArray[np.int64], pyarrow.Array]:
    """Number the texts of a column, however long they are together.

    Args:
        column: N texts.

    Returns:
        (N,) int64, the number of each text, −1 for an absent one; and the texts by number.
    """
    if column.nbytes > _MOST_BYTES:
        column = column.cast(pyarrow.large_string())
    encoded = column.dictionary_encode().unify_dictionaries()
    if not encoded.num_chunks:
        return np.empty(0, np.int64), pyarrow.array([], column.type)
    codes = [
        chunk.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        for chunk in encoded.chunks
    ]
    return np.concatenate(codes), encoded.chunk(0).dictionary


def encode_column(table: TileTable, column: str) -> tuple[NDArray[np.int64], list[str]]:
    """Encode a column of texts as numbers.

    Args:
        table: N tiles.
        column: name of the column.

    Returns:
        (N,) int64, the number of each field, −1 for an absent one; and the texts by number.
    """
    codes, texts = number_texts(table.columns.column(column))
    names: list[str] = texts.to_pylist()
    return codes, names


def taken(column: pyarrow.ChunkedArray, rows: NDArray[np.int64]) -> pyarrow.ChunkedArray:
    """The values of some rows.

    `ChunkedArray.take` makes one array of the whole column first, which fails beyond 2 GiB.

    Args:
        column: N values.
        rows: (R,) int64, in any order.

    Returns:
        R values.
    """
    rows = np.asarray(rows, np.int64)
    starts = np.cumsum([0, *map(len, column.chunks)])
    chunk_of = np.searchsorted(starts, rows, "right") - 1
    order = np.argsort(chunk_of, kind="stable")
    ends = np.searchsorted(chunk_of[order], np.arange(column.num_chunks), "right")
    parts = np.split(order, ends[:-1]) if column.num_chunks else []
    pieces = [
        chunk.take(pyarrow.array(rows[part] - start))
        for chunk, start, part in zip(column.chunks, starts, parts)
        if len(part)
    ]
    if (order[:-1] < order[1:]).all():
        return pyarrow.chunked_array(pieces, column.type)
    back = np.empty(len(rows), np.int64)
    back[order] = np.arange(len(rows))
    return pyarrow.chunked_array([pyarrow.concat_arrays(pieces).take(pyarrow.array(back))])


def taken_rows(
    table: TileTable, rows: NDArray[np.int64], names: Sequence[str] | None = None
) -> TileTable:
    """Some rows of a table, and the columns `names` or all; see `taken`."""
    columns = table.columns if names is None else table.columns.select(names)
    found = [taken(column, rows) for column in columns.columns]
    return TileTable(pyarrow.table(found, schema=columns.schema).combine_chunks())


def rows_of_ids(table: TileTable, ids: pyarrow.Array) -> NDArray[np.int64]:
    """The first row of each id, −1 for an id that is not there.

    Args:
        table: N tiles.
        ids: T texts.

    Returns:
        (T,) int64.
    """
    wanted = ids.unique()
    row_of, start = np.full(len(wanted), -1, np.int64), 0
    for chunk in table.columns.column("id").chunks:
        found = pc.fill_null(pc.index_in(chunk, value_set=wanted), -1)
        found = found.to_numpy(zero_copy_only=False)
        at = np.flatnonzero(found >= 0)[::-1]  # of several, the first is written last
        at = at[row_of[found[at]] < 0]
        row_of[found[at]] = start + at
        start += len(chunk)
    positions = pc.index_in(ids, value_set=wanted).to_numpy(zero_copy_only=False)
    return row_of[np.asarray(positions, np.int64)]


@dataclass(frozen=True)
class TileWindows:
    """The files of N tiles, and their windows.

    Attributes:
        files: N paths, or what the id says before its window if no path is known.
        edges: (N, 4) int64, first column and row, and those after the last; 0 for whole files.
        is_window: (N,) bool, whether the id ends in a window.
    """

    files: pyarrow.ChunkedArray
    edges: NDArray[np.int64]
    is_window: NDArray[np.bool_]

    @classmethod
    def of(cls, table: TileTable) -> TileWindows:
        """The windows in the ids of a table, as `split_window` reads them."""
        parts = [_windows_of(*batch.columns) for batch in _batches(table, ("id", "path"))]
        return cls(
            pyarrow.chunked_array([part[0] for part in parts], pyarrow.string()),
            np.concatenate([np.empty((0, 4), np.int64), *(part[1] for part in parts)]),
            np.concatenate([np.empty(0, bool), *(part[2] for part in parts)]),
        )


def _batches(table: TileTable, names: tuple[str, ...]) -> list[pyarrow.RecordBatch]:
    batches: list[pyarrow.RecordBatch] = table.columns.select(names).to_batches(_BATCH_ROWS)
    return batches


def _windows_of(
    ids: pyarrow.Array, paths: pyarrow.Array
) -> tuple[pyarrow.Array, NDArray[np.int64], NDArray[np.bool_]]:
    found = pc.extract_regex(ids, _WINDOW)
    numbers = [
        pc.fill_null(pc.cast(pc.struct_field(found, name), pyarrow.int64()), 0).to_numpy()
        for name in ("col", "row", "width", "height")
    ]
    col, row, width, height = numbers
    named = pc.coalesce(pc.struct_field(found, "file"), ids)
    files = pc.if_else(pc.equal(paths, ""), named, paths)
    edges = np.stack([col, row, col + width, row + height], axis=1)
    return files, edges, found.is_valid().to_numpy(zero_copy_only=False)


@dataclass(frozen=True)
class Footprints:
    """The footprints of all tiles that have one.

    Attributes:
        rows: (M,) int64, the rows of the tiles.
        starts: (M + 1,) int64, where each footprint's corners begin in `corners`.
        corners: (C, 2) float64, longitude and latitude in degrees.
        parts: the exact area of those whose footprint is only a box around it, by position.
    """

    rows: NDArray[np.int64]
    starts: NDArray[np.int64]
    corners: NDArray[np.float64]
    parts: Mapping[int, Parts] = field(default_factory=dict)

    @classmethod
    def of(cls, table: TileTable) -> Footprints:
        """The footprints of a table."""
        rows, lengths, corners, first = [], [], [], 0
        for chunk in table.columns.column("footprint").chunks:
            offsets = chunk.offsets.to_numpy()
            pairs = chunk.values.flatten().to_numpy(zero_copy_only=False).reshape(-1, 2)
            # `values` is the whole buffer, even if the chunk is a slice of it.
            counts = np.diff(offsets)
            there = np.flatnonzero(counts)
            rows.append(first + there)
            lengths.append(counts[there])
            corners.append(pairs[offsets[0] : offsets[-1]])
            first += len(chunk)
        if not rows:
            return cls(np.empty(0, np.int64), np.zeros(1, np.int64), np.empty((0, 2)))
        starts = np.concatenate(([0], np.cumsum(np.concatenate(lengths))))
        placed = np.concatenate(rows)
        exact = table.columns.column("parts")
        having = np.flatnonzero(exact.is_valid().to_numpy())
        positions = np.searchsorted(placed, having).tolist()
        parts = dict(zip(positions, taken(exact, having).to_pylist()))
        return cls(placed, starts.astype(np.int64), np.concatenate(corners), parts)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, position: int) -> list[tuple[float, float]]:
        """The corners of one of the M footprints."""
        part = self.corners[self.starts[position] : self.starts[position + 1]]
        return [(float(lon), float(lat)) for lon, lat in part]

    def crosses_antimeridian(self) -> NDArray[np.bool_]:
        """(M,) bool, whether each footprint crosses ±180, by the rule of `data.geo.footprints`."""
        if not len(self):
            return np.empty(0, bool)
        firsts, ends = self.starts[:-1], self.starts[1:] - 1
        following = np.arange(1, len(self.corners) + 1)
        following[ends] = firsts
        (x, y), (a, b) = self.corners.T, self.corners[following].T
        span = np.maximum.reduceat(x, firsts) - np.minimum.reduceat(x, firsts)
        return np.asarray((span > 180) & (np.add.reduceat(x * b - a * y, firsts) < 0))

    def boxes(self) -> NDArray[np.float64]:
        """(M, 4) float64, west, south, east, north of each footprint in degrees.

        A footprint that crosses the antimeridian extends from 179 to 181, for example, and not
        around the globe.
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
