"""A shard: the rows and the embeddings of one part of the tiles, as a Parquet file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow
from numpy.typing import NDArray
from pyarrow import parquet

from rsretrieve.data.notes import Note, known_notes
from rsretrieve.data.profile.tile_features import TileFeatures
from rsretrieve.index.store.tile_schema import SCHEMA, fitted
from rsretrieve.index.store.tile_table import IndexedTile, TileTable

VERSION = 1
_KEY = b"rsretrieve-shard"
_OWN = (
    ("embedding", pyarrow.list_(pyarrow.float32())),  # null for a tile that cannot be used
    ("reason", pyarrow.string()),  # why it cannot be used
    ("is_skipped", pyarrow.bool_()),  # the user's choices exclude it
    ("notes", pyarrow.list_(pyarrow.string())),
    ("band_means", pyarrow.list_(pyarrow.float64())),  # of some tiles
    ("band_deviations", pyarrow.list_(pyarrow.float64())),
)
_WHOLE = pyarrow.schema([*SCHEMA, *(pyarrow.field(*one) for one in _OWN)])
_MOST_BYTES = 1 << 34  # of the columns of one shard


@dataclass(frozen=True)
class ShardRow:
    """A tile of a shard.

    Attributes:
        row: the tile, with the state of its file before it was read.
        vector: (D,) float32; None if the tile cannot be used.
        reason: why it cannot be used.
        is_skipped: the user's choices exclude it.
        notes: remarks about it.
        means, deviations: (C,) float64 of its bands; None for most tiles.
    """

    row: IndexedTile
    vector: NDArray[np.float32] | None = None
    reason: str | None = None
    is_skipped: bool = False
    notes: tuple[Note, ...] = ()
    means: NDArray[np.float64] | None = None
    deviations: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Shard:
    """The content of a shard.

    Attributes:
        table: its columns: those of the id table, and its own.
        dimensions: D.
    """

    table: pyarrow.Table
    dimensions: int
    _used: NDArray[np.bool_] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        used = np.asarray(self.table.column("embedding").is_valid(), bool)
        object.__setattr__(self, "_used", used)

    @classmethod
    def of(cls, rows: Sequence[ShardRow], dimensions: int) -> Shard:
        """The shard of these rows."""
        own = {
            "embedding": [row.vector for row in rows],
            "reason": [row.reason for row in rows],
            "is_skipped": [row.is_skipped for row in rows],
            "notes": [[note.value for note in row.notes] for row in rows],
            "band_means": [row.means for row in rows],
            "band_deviations": [row.deviations for row in rows],
        }
        told = TileTable.of([row.row for row in rows]).columns
        columns = {name: told.column(name) for name in SCHEMA.names}
        return cls(pyarrow.table({**columns, **own}, schema=_WHOLE).combine_chunks(), dimensions)

    @property
    def rows(self) -> pyarrow.Table:
        """The tiles that have an embedding: a table of `SCHEMA`."""
        return self._tiles(self._used)

    @property
    def vectors(self) -> NDArray[np.float32]:
        """(N, D) float32, the embeddings of `rows`."""
        listed = self.table.column("embedding").combine_chunks().drop_null()
        values = listed.flatten().to_numpy(zero_copy_only=False)
        return np.asarray(values, np.float32).reshape(-1, self.dimensions)

    @property
    def failed(self) -> list[tuple[IndexedTile, str, bool]]:
        """The tiles that cannot be used, why, and whether the user's choices exclude them."""
        some = self.table.filter(pyarrow.array(~self._used))
        reasons, skipped = (some.column(name).to_pylist() for name in ("reason", "is_skipped"))
        tiles = TileTable(some.select(SCHEMA.names))
        return [(tile, str(why), bool(out)) for tile, why, out in zip(tiles, reasons, skipped)]

    @property
    def notes(self) -> list[tuple[str, tuple[Note, ...]]]:
        """The tiles with remarks, by id."""
        pairs = zip(self.table.column("id").to_pylist(), self.table.column("notes").to_pylist())
        return [(tile_id, known_notes(names)) for tile_id, names in pairs if names]

    @property
    def features(self) -> TileFeatures | None:
        """The band statistics of some tiles; None if there are none."""
        found = [
            [values for values in self.table.column(name).to_pylist() if values is not None]
            for name in ("band_means", "band_deviations")
        ]
        return TileFeatures(*map(np.array, found)) if found[0] else None

    def records(self) -> list[ShardRow]:
        """All rows."""
        own = self.table.select([name for name, _ in _OWN]).to_pylist()
        return [_record(row, values) for row, values in zip(self._all_tiles(), own)]

    def _all_tiles(self) -> TileTable:
        return TileTable(self.table.select(SCHEMA.names))

    def _tiles(self, which: NDArray[np.bool_]) -> pyarrow.Table:
        return self.table.select(SCHEMA.names).filter(pyarrow.array(which))

    def to_bytes(self, digest: str) -> bytes:
        """The Parquet file.

        Args:
            digest: of the part; see `Part.digest`.
        """
        told: dict[str, Any] = {"version": VERSION, "part": digest, "dimensions": self.dimensions}
        # The digest is that of the columns as they are read: those that were just made may have
        # other bits where a value is null.
        with parquet.ParquetFile(pyarrow.BufferReader(_packed(self.table))) as file:
            table = file.read().combine_chunks()
        told["content"] = _content_digest(table)
        content: bytes = _packed(
            table.replace_schema_metadata({_KEY: json.dumps(told)})
        ).to_pybytes()
        return content


def read_shard(content: bytes, digest: str, dimensions: int) -> Shard:
    """Read and check a shard.

    Args:
        content: the Parquet file.
        digest: the digest of its part.
        dimensions: D.

    Raises:
        ValueError: it is not the shard of this part, or was changed after it was written.
    """
    try:
        with parquet.ParquetFile(pyarrow.BufferReader(content)) as file:
            told = json.loads((file.schema_arrow.metadata or {}).get(_KEY, b"{}"))
            expected = {"version": VERSION, "part": digest, "dimensions": dimensions}
            if {key: told.get(key) for key in expected} != expected:
                raise ValueError("it is the shard of other tiles, or of another model")
            if _unpacked_bytes(file) > _MOST_BYTES:
                raise ValueError("it unpacks to more than a shard may hold")
            table = file.read().replace_schema_metadata(None).combine_chunks()
    except (OSError, pyarrow.ArrowException, AttributeError, TypeError) as error:
        raise ValueError(f"it cannot be read ({error})") from error
    try:
        if table.schema != _WHOLE or told.get("content") != _content_digest(table):
            raise ValueError("it is not as it was written: its digest differs")
        _check(table, dimensions)
    except (pyarrow.ArrowException, TypeError, KeyError) as error:
        raise ValueError(f"it holds values that rsretrieve does not write ({error})") from error
    return Shard(table, dimensions)


def _check(table: pyarrow.Table, dimensions: int) -> None:
    """Check values, as those of every id table; and the vectors."""
    table.validate(full=True)
    fitted(table.select(SCHEMA.names))
    listed = table.column("embedding").combine_chunks().drop_null()
    values = listed.flatten().to_numpy(zero_copy_only=False)
    lengths = np.unique(np.diff(np.asarray(listed.offsets)))
    if len(listed) and (lengths.tolist() != [dimensions] or not np.isfinite(values).all()):
        raise ValueError("its embeddings are not finite vectors of the model's dimensions")


def _unpacked_bytes(file: parquet.ParquetFile) -> int:
    groups = range(file.metadata.num_row_groups)
    return sum(file.metadata.row_group(number).total_byte_size for number in groups)


def _packed(table: pyarrow.Table) -> Any:
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def _content_digest(table: pyarrow.Table) -> str:
    """The SHA-256 of the columns, however they are packed."""
    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, _WHOLE) as stream:
        stream.write_table(table.combine_chunks())
    return hashlib.sha256(sink.getvalue()).hexdigest()


def _record(row: IndexedTile, values: dict[str, Any]) -> ShardRow:
    means, deviations = values["band_means"], values["band_deviations"]
    vector = values["embedding"]
    return ShardRow(
        row,
        None if vector is None else np.array(vector, np.float32),
        values["reason"],
        bool(values["is_skipped"]),
        known_notes(values["notes"] or ()),
        None if means is None else np.array(means),
        None if deviations is None else np.array(deviations),
    )
