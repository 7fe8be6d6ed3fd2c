"""Embeddings as a file holds them, and their L2-normalisation."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from rsretrieve.data.failures import Failure
from rsretrieve.data.run_context import RunContext
from rsretrieve.errors import NoUsableTiles
from rsretrieve.index.external.mapped_rows import kept_rows
from rsretrieve.index.external.stored_vectors import flags_for, zeros_for
from rsretrieve.index.store.folder import IndexContent
from rsretrieve.index.store.manifest import READING
from rsretrieve.index.store.tile_table import TileTable

_BLOCK = 65_536
_UNIT = 1e-4  # tolerance of a unit norm


@dataclass(frozen=True)
class RawEmbeddings:
    """What a file holds.

    Attributes:
        rows: N tiles.
        vectors: (N, D) numbers, zero where a vector is missing.
        provenance: the source of the vectors.
        missing: (N,) which rows have no vector.
        is_numbered: the rows have no ids of their own.
    """

    rows: TileTable
    vectors: NDArray[Any]
    provenance: dict[str, Any]
    missing: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))
    is_numbered: bool = False

    @property
    def model(self) -> str:
        """The path of the model that the file names; empty if it names none.

        A relative one, such as that of a model stored in an index, is another from each folder.
        """
        named = str(self.provenance.get("model") or "")
        return named if Path(named).is_absolute() else ""

    @property
    def model_fingerprint(self) -> str:
        """The fingerprint of the model that the file names; empty if it names none."""
        return str(self.provenance.get("model_fingerprint") or "")


def normalised(path: Path, raw: RawEmbeddings, context: RunContext) -> IndexContent:
    """Leave out unusable rows, and L2-normalise the others.

    An array that needs neither stays memory-mapped.
    """
    vectors, rows = raw.vectors, raw.rows
    usable, is_unit = flags_for(len(vectors), value=False), True
    for start in range(0, len(vectors), _BLOCK):
        norms = _norms(vectors, start)
        good = usable[start : start + _BLOCK]
        nameless = rows_without_id(rows, start, _BLOCK)
        report_without_id(rows, start + np.flatnonzero(nameless), context)
        good[:] = np.isfinite(norms) & (norms > 0) & ~nameless
        for i in np.flatnonzero(~good & ~nameless).tolist():
            what = "zero or missing" if norms[i] == 0 else "not finite"
            context.add_failure(Failure(rows[start + i].tile, f"its embedding is {what}"))
        is_unit &= bool((np.abs(norms[good] - 1) <= _UNIT).all())
    if not usable.any():
        raise NoUsableTiles(f"{path}: none of {len(vectors)} embeddings can be used")
    if vectors.dtype != np.float32 or not usable.all() or not is_unit:
        vectors = _unit_rows(vectors, usable)
        if not usable.all():
            rows = kept_rows(rows, usable)
    facts = {
        "model": raw.model,
        "model_fingerprint": raw.model_fingerprint,
        "provenance": raw.provenance,
    }
    facts |= {name: raw.provenance[name] for name in READING if name in raw.provenance}
    return IndexContent(rows, vectors, facts)


def rows_without_id(rows: TileTable, start: int, count: int) -> NDArray[np.bool_]:
    """(B,) which of these rows have no id."""
    ids = rows.columns.column("id").slice(start, count)
    return np.asarray(pc.equal(ids, "").to_numpy(), np.bool_)


def report_without_id(rows: TileTable, numbers: NDArray[np.int64], context: RunContext) -> None:
    """Report rows that have no id, by their numbers in the file.

    Raises:
        TileError: there is one, and the context is strict.
    """
    for i in numbers.tolist():
        nameless = replace(rows[i].tile, id=f"row {i}")
        context.add_failure(Failure(nameless, "it has no id (rows are counted from 0)"))


def _norms(vectors: NDArray[Any], start: int) -> NDArray[np.float64]:
    """The norms of a block of vectors."""
    block = np.asarray(vectors[start : start + _BLOCK], np.float64)
    with np.errstate(over="ignore"):  # of numbers whose squares are beyond float64
        return np.asarray(np.linalg.norm(block, axis=1))


def _unit_rows(vectors: NDArray[Any], usable: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The usable vectors, divided by their norms."""
    unit, done = zeros_for(int(usable.sum()), vectors.shape[1]), 0
    for start in range(0, len(vectors), _BLOCK):
        good = usable[start : start + _BLOCK]
        block = vectors[start : start + _BLOCK][good] / _norms(vectors, start)[good, None]
        unit[done : done + len(block)] = block
        done += len(block)
    return unit
