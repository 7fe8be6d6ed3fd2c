"""Collect the vectors of a table, batch by batch, and bring them to unit length."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.compute as pc
from numpy.typing import NDArray

from rsretrieve.data.embedding_rasters.quantization import (
    ALPHAEARTH_NOTICE,
    AS_STORED,
    Quantization,
    declared_quantization,
    is_alphaearth_in_floats,
    quantization_of,
)
from rsretrieve.data.loading.batches import mapped_room
from rsretrieve.data.run_context import RunContext
from rsretrieve.errors import TableError
from rsretrieve.index.external.choices import EmbeddingChoices
from rsretrieve.index.external.embedding_columns import EmbeddingColumns

_BLOCK = 65_536
MOST_IN_MEMORY_BYTES = 1 << 26
"""Up to this size vectors are kept in memory."""
FEW_FLAGS = 1 << 22
"""Up to this number flags are kept in memory, a byte each."""


def zeros_for(count: int, dimensions: int) -> NDArray[np.float32]:
    """(N, D) float32 zeros; many of them are mapped from a temporary file.

    Raises:
        OSError: the temporary folder has too little room.
    """
    if 4 * count * dimensions <= MOST_IN_MEMORY_BYTES:
        return np.zeros((count, dimensions), np.float32)
    return mapped_room((count, dimensions), np.dtype(np.float32), "the vectors")


def flags_for(count: int, *, value: bool) -> NDArray[np.bool_]:
    """(N,) the same value for each row; for many rows it is mapped from a temporary file.

    Raises:
        OSError: the temporary folder has too little room.
    """
    if count <= FEW_FLAGS:
        return np.full(count, value)
    flags = mapped_room((count,), np.dtype(np.bool_), "a byte a row")
    flags[:] = value
    return flags


@dataclass
class VectorReader:
    """Reads the vectors of a table.

    Attributes:
        path: the table, for messages.
        columns: its columns.
        count: N, the number of its rows.
        choices: how many dimensions are kept.
        emb: metadata of STAC's embedding extension; empty if the file has none.
        may_lack: all vectors may be missing.
        dimensions: of the vectors as stored; 0 until the first was read.
    """

    path: Path
    columns: EmbeddingColumns
    count: int
    choices: EmbeddingChoices
    emb: Mapping[str, Any] = field(default_factory=dict)
    may_lack: bool = False
    _vectors: NDArray[np.float32] | None = field(default=None, init=False)
    _missing: NDArray[np.bool_] = field(init=False)
    _quantization: Quantization = field(default=AS_STORED, init=False)
    dimensions: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._missing = flags_for(self.count, value=True)

    def add(self, batch: pyarrow.RecordBatch, start: int) -> None:
        """Read the vectors of a batch.

        Args:
            batch: the rows.
            start: the number of its first row.

        Raises:
            TableError: the vectors differ in length.
        """
        stored, valid = self._lists(batch) if self.columns.is_list else self._numbers(batch)
        if not len(stored):
            return
        if self._vectors is None:
            self._begin(stored)
        if stored.shape[1] != self.dimensions or self._vectors is None:
            raise TableError(f"{self.path}: not every vector has {self.dimensions} dimensions")
        kept = self._vectors.shape[1]
        rows = start + np.flatnonzero(valid)
        with np.errstate(over="ignore"):  # what is beyond float32 counts as not finite
            self._vectors[rows] = self._quantization.restored(stored)[:, :kept]
        self._missing[rows] = False

    def _begin(self, stored: NDArray[Any]) -> None:
        self.dimensions = stored.shape[1]
        names = () if self.columns.is_list else self.columns.vectors
        declared = declared_quantization(self.emb, self.dimensions)
        self._quantization = (
            declared if declared != AS_STORED else quantization_of(names, stored.dtype)
        )
        kept = self.choices.cut(self.path, self.dimensions)
        self._vectors = zeros_for(self.count, kept)

    def _lists(self, batch: pyarrow.RecordBatch) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """(V, D) the vectors that there are, and (B,) which rows have one."""
        listed = batch.column(self.columns.vectors[0])
        valid = np.asarray(listed.is_valid())
        present = listed.drop_null()
        lengths = np.unique(pc.list_value_length(present).to_numpy(zero_copy_only=False))
        if not len(present) or (lengths[0] == 0 and self.dimensions == 0 and len(lengths) == 1):
            return np.empty((0, 0), np.float32), valid
        if len(lengths) > 1:
            expected = self.dimensions or int(pc.list_value_length(present)[0].as_py())
            raise TableError(f"{self.path}: not every vector has {expected} dimensions")
        values = present.flatten().to_numpy(zero_copy_only=False)
        return values.reshape(len(present), int(lengths[0])), valid

    def _numbers(self, batch: pyarrow.RecordBatch) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        arrays = [batch.column(name) for name in self.columns.vectors]
        stacked = np.stack([array.to_numpy(zero_copy_only=False) for array in arrays], axis=1)
        valid = np.any([np.asarray(array.is_valid()) for array in arrays], axis=0)
        return stacked[valid], valid

    def result(self, context: RunContext) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """(N, D) float32, zero where a vector is missing; and (N,) whether it is missing.

        Args:
            context: receives a notice of how whole numbers were read.

        Raises:
            TableError: there is no vector.
        """
        if self._vectors is None and self.may_lack:
            return zeros_for(self.count, 1), self._missing
        if self._vectors is None:
            name = self.columns.vectors[0]
            raise TableError(f"{self.path}: the column {name!r} holds no vector")
        notice = self._quantization.notice
        if self._quantization == AS_STORED and self._is_alphaearth():
            restored, notice = Quantization(is_alphaearth=True), ALPHAEARTH_NOTICE
            for start in range(0, self.count, _BLOCK):
                part = slice(start, start + _BLOCK)
                self._vectors[part] = restored.restored(self._vectors[part])
        if notice:
            context.notice(f"{self.path}: {notice}")
        return self._vectors, self._missing

    def _is_alphaearth(self) -> bool:
        if self.columns.is_list or self._vectors is None:
            return False
        return is_alphaearth_in_floats(self.columns.vectors, self._vectors)
