"""Indexes of made-up vectors of windows, whose places are those of a real raster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio

from rsretrieve.data.geo.window_places import places_of
from rsretrieve.data.window import Window
from rsretrieve.index.store.folder import IndexContent, IndexStore, open_index, write_index_folder
from rsretrieve.index.store.tile_table import IndexedTile
from rsretrieve.index.vectors.vector_index import VectorIndex
from tests.support.indexes.vectors import unit_rows

FACTS = {"model": "", "model_fingerprint": "", "faiss_key": "Flat", "recall_at_10": 1.0}


def index_of(folder: Path, rows: Sequence[IndexedTile], **facts: Any) -> IndexStore:
    """An index of these tiles with random vectors of 8 dimensions."""
    vectors = unit_rows(len(rows), 8, seed=4)
    content = IndexContent(rows, vectors, {**FACTS, **facts})
    write_index_folder(folder, content, VectorIndex.build(vectors, "Flat"), overwrite=False)
    return open_index(folder)


def rows_of_scene(
    path: str, windows: Sequence[Window], content: str = "", **profile: Any
) -> list[IndexedTile]:
    """A row for each window of a scene with this georeference."""
    form: Mapping[str, Any] = {"driver": "GTiff", "count": 1, "dtype": "uint8"}
    with (
        rasterio.MemoryFile() as memory,
        memory.open(width=4000, height=4000, sparse_ok=True, **form, **profile) as dataset,
    ):
        places = [placing.place for placing in places_of(dataset, windows)]
    return [
        IndexedTile(f"{Path(path).name}{window}", path, None, 1, 1, place, content)
        for window, place in zip(windows, places)
    ]


def grid(columns: int, rows: int, side: int, stride: int, start: int = 0) -> list[Window]:
    """Windows on a grid, in a random order."""
    windows = [
        Window(start + col * stride, start + row * stride, side, side)
        for row in range(rows)
        for col in range(columns)
    ]
    order = np.random.default_rng(0).permutation(len(windows))
    return [windows[i] for i in order]
