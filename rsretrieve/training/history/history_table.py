"""The columns of `tiles.parquet` of a model folder, and its checked reading."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow
from numpy.typing import NDArray
from pyarrow import parquet

from rsretrieve._core.regular_files import open_regular
from rsretrieve._core.tables import refuse_bombs
from rsretrieve.data.preprocessing.pixel_fingerprint import QUADRANTS
from rsretrieve.errors import ModelDamaged
from rsretrieve.network.metadata import TILES_FILE, ModelFolder, check_file

CONFIRMED, ORIGINAL = "confirmed", "original_label"
WEIGHT, AREA, MARGIN = "weight", "area_under_margin", "logit_margin"
STARTING_FEATURES = "first_view"
QUADRANT_MEANS, CONTENT = "quadrants", "content"
RECORDED = (WEIGHT, AREA, MARGIN, STARTING_FEATURES)
DECISIONS = (CONFIRMED, ORIGINAL)


def as_lists(values: NDArray[Any]) -> pyarrow.Array:
    """(N, D) numbers as N lists."""
    flat = pyarrow.array(np.ascontiguousarray(values).ravel())
    return pyarrow.FixedSizeListArray.from_arrays(flat, values.shape[1])


def as_matrix(table: pyarrow.Table, name: str) -> NDArray[Any]:
    """(N, D) the numbers of a column of lists."""
    kept = table.column(name).combine_chunks()
    return np.asarray(kept.flatten().to_numpy().reshape(len(kept), -1))


def read_columns(model: ModelFolder, columns: Sequence[str]) -> pyarrow.Table | None:
    """Read those of the columns that exist; None if an old model folder has no such file."""
    path, sha256 = model.folder / TILES_FILE, model.description.files.get(TILES_FILE)
    if sha256 is not None:
        check_file(path, sha256)
    elif not path.exists():
        return None  # older versions wrote no such file
    try:
        with open_regular(path) as stream, parquet.ParquetFile(stream) as file:
            refuse_bombs(path, file)
            there = [name for name in columns if name in file.schema_arrow.names]
            if columns[0] not in there:
                return None
            table = file.read(there)
            _check_types(table)
            return table
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:
        raise ModelDamaged(f"{path} cannot be read ({error})") from error


def _has_scalar_type(name: str, kind: pyarrow.DataType) -> bool:
    if name == CONFIRMED:
        return bool(pyarrow.types.is_boolean(kind))
    is_text = name in ("tile", "label", CONTENT, ORIGINAL)
    return bool(pyarrow.types.is_string(kind) if is_text else pyarrow.types.is_floating(kind))


def _check_types(table: pyarrow.Table) -> None:
    """Raise `ValueError` for columns of other types than `write_tile_history` writes."""
    types = pyarrow.types
    for entry in table.schema:
        kind, values = entry.type, table.column(entry.name)
        if entry.name in (STARTING_FEATURES, QUADRANT_MEANS):
            fits = types.is_fixed_size_list(kind) and types.is_floating(kind.value_type)
            if fits and values.null_count:
                raise ValueError(f"{entry.name} has missing values")
            values = values.combine_chunks().flatten() if fits else values
            if not fits or (entry.name == QUADRANT_MEANS and kind.list_size != QUADRANTS):
                raise ValueError(f"{entry.name} holds {kind}")
        elif not _has_scalar_type(entry.name, kind):
            raise ValueError(f"{entry.name} holds {kind}")
        if entry.name not in ("label", ORIGINAL) and values.null_count:
            raise ValueError(f"{entry.name} has missing values")
