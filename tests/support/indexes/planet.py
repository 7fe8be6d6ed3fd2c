"""An index of made-up vectors of tiles all around the globe, and plain loops over it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from rsretrieve.data.geo.place import Place
from rsretrieve.index.store.folder import IndexContent, IndexStore, open_index, write_index_folder
from rsretrieve.index.store.tile_table import IndexedTile
from rsretrieve.index.vectors.vector_index import VectorIndex
from rsretrieve.search.filters import Filters

TILES, DIMENSIONS = 700, 12
LABELS = ("forest", "water", "großes Feld", None)
Rectangle = tuple[float, float, float, float]  # west, south, width, height


@dataclass(frozen=True)
class Planet:
    """The index, where each tile lies, None for one without a place, and their labels."""

    store: IndexStore
    rectangles: list[Rectangle | None]
    labels: list[str | None]


def make_planet(folder: Path, key: str = "Flat") -> Planet:
    """Tiles in scenes of twenty windows; many vectors doubled or nearly so; some at ±180."""
    rng = np.random.default_rng(7)
    vectors = rng.normal(size=(TILES, DIMENSIONS)).astype(np.float32)
    for row in range(0, TILES, 3):
        vectors[row] = vectors[rng.integers(TILES)] + (row % 2) * 1e-3
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rectangles = [None if i % 11 == 0 else rectangle(rng) for i in range(TILES)]
    rows = [indexed(i, place) for i, place in enumerate(rectangles)]
    facts = {"model": "", "model_fingerprint": "", "faiss_key": key, "recall_at_10": 1.0}
    write_index_folder(
        folder, IndexContent(rows, vectors, facts), VectorIndex.build(vectors, key), overwrite=True
    )
    store = open_index(folder)
    return Planet(store, rectangles, [row.label for row in store.rows])


def rectangle(rng: np.random.Generator) -> Rectangle:
    west = rng.choice([rng.uniform(-180, 180), rng.uniform(175, 180), rng.uniform(-10, 10)])
    return float(west), float(rng.uniform(-80, 70)), float(rng.uniform(0.5, 8)), 6.0


def indexed(i: int, place: Rectangle | None) -> IndexedTile:
    scene = f"scenes/{i // 20}.tif"
    return IndexedTile(
        id=f"{scene}#{i % 20},0,8,8",
        path=f"/data/{scene}",
        label=LABELS[i % 7 % len(LABELS)],
        size_bytes=1,
        mtime_ns=1,
        place=None if place is None else placed(place),
    )


def placed(rectangle: Rectangle) -> Place:
    west, south, width, height = rectangle
    east = west + width if west + width <= 180 else west + width - 360
    north = south + height
    corners = ((west, north), (west, south), (east, south), (east, north))
    return Place("EPSG:4326", (west, south, east, north), corners)


@cache
def parts(rectangle: Rectangle) -> list[Any]:
    """A tile as boxes between −180 and 180."""
    west, south, width, height = rectangle
    east, north = west + width, south + height
    if east <= 180:
        return [shapely.box(west, south, east, north)]
    return [shapely.box(west, south, 180, north), shapely.box(-180, south, east - 360, north)]


@cache
@cache
@cache
def area_of(bbox: tuple[float, float, float, float]) -> list[Any]:
    west, south, east, north = bbox
    if west <= east:
        return [shapely.box(west, south, east, north)]
    return [shapely.box(west, south, 180, north), shapely.box(-180, south, east, north)]


@cache
def polygons_of(path: Path) -> Any:
    return shapely.geometry.shape(json.loads(path.read_text()))


def passes(planet: Planet, row: int, filters: Filters) -> bool:
    """Whether a tile passes by label and place."""
    if filters.labels and planet.labels[row] not in filters.labels:
        return False
    where = planet.rectangles[row]
    if filters.bbox is not None and (
        where is None
        or not any(a.intersects(b) for a in parts(where) for b in area_of(filters.bbox))
    ):
        return False
    if filters.within is not None:
        area = polygons_of(filters.within)
        if where is None or not all(area.covers(part) for part in parts(where)):
            return False
    return True


def plain_loop(
    planet: Planet, query: np.ndarray, own: set[int], filters: Filters, k: int
) -> list[int]:
    """The rows of the k best hits, by looking at every vector one after the other."""
    vectors = np.array(planet.store.vectors, float)  # out of the file, once
    similarities = [float(np.dot(query.astype(float), vector)) for vector in vectors]
    ranked = sorted(range(len(vectors)), key=lambda row: (-similarities[row], row))
    kept: list[int] = []
    for row in ranked:
        if len(kept) == k:
            break
        if filters.exclude_self and row in own:
            continue
        least = filters.min_similarity
        if least is not None and similarities[row] < least:
            continue
        if not passes(planet, row, filters):
            continue
        if filters.distinct_scene and any(row // 20 == other // 20 for other in kept):
            continue
        fold = filters.duplicate_similarity
        if fold is not None and any(
            float(np.dot(vectors[row], vectors[other])) >= fold for other in kept
        ):
            continue
        kept.append(row)
    return kept
