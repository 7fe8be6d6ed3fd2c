"""Indexes of made-up vectors of several kinds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rsretrieve.index.store.folder import IndexContent, IndexStore, open_index, write_index_folder
from rsretrieve.index.store.tile_table import IndexedTile
from rsretrieve.index.vectors.vector_index import VectorIndex
from tests.support.indexes.scene_indexes import FACTS
from tests.support.indexes.vectors import Vectors, unit_rows


def kinds_of_rows(sizes: tuple[int, ...], spread: float, seed: int) -> Vectors:
    """Unit vectors around a centre for each kind, kind by kind."""
    rng = np.random.default_rng(seed)
    centres = np.repeat(unit_rows(len(sizes), 12, seed), sizes, axis=0)
    vectors = centres + spread * rng.standard_normal(centres.shape)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def index_of_kinds(
    folder: Path, sizes: tuple[int, ...] = (60, 140, 100), spread: float = 0.25, seed: int = 0
) -> IndexStore:
    """An index whose ids are `KIND/NUMBER.tif`, kinds and numbers from 0."""
    vectors = kinds_of_rows(sizes, spread, seed)
    names = [f"{kind}/{i}.tif" for kind, size in enumerate(sizes) for i in range(size)]
    rows = [IndexedTile(name, f"/tiles/{name}", name[0], 1, 1, None) for name in names]
    content = IndexContent(rows, vectors, dict(FACTS))
    write_index_folder(folder, content, VectorIndex.build(vectors, "Flat"), overwrite=False)
    return open_index(folder)
