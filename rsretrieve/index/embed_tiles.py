"""Embed a set of tiles: pixels stream in, vectors come out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsretrieve.data.geo.place import Place
from rsretrieve.data.loading.batches import stream_batches
from rsretrieve.data.preprocessing.pixel_fingerprint import QUADRANTS, quadrant_means
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.errors import ModelDamaged, NoUsableTiles
from rsretrieve.network.runtime.graph import EmbeddingModel
from rsretrieve.network.runtime.malloc import retain_freed_memory

BATCH_SIZE = 128
Keep = Callable[[list[Tile], list[Place | None], NDArray[np.float32]], None]
"""Called with every batch that is done: tiles, places, vectors."""


def _keep_nothing(*_: object) -> None:
    """For work that is not worth going on with when it is interrupted."""


@dataclass(frozen=True)
class Embeddings:
    """Embedded tiles, row by row.

    Attributes:
        tiles: N tiles.
        places: where each lies, or None.
        vectors: (N, D) float32, unit rows.
        quadrants: (N, 4) float32, how bright each quarter is; see `quadrant_means`.
        seconds: the time it took.
    """

    tiles: TileSet
    places: tuple[Place | None, ...]
    vectors: NDArray[np.float32]
    quadrants: NDArray[np.float32]
    seconds: float


def embed_tiles(model: EmbeddingModel, tiles: TileSet, context: RunContext) -> Embeddings:
    """Embed every tile that can be read, of which there must be one.

    Args:
        model: the model.
        tiles: the tiles.
        context: takes the tiles that cannot be read.

    Raises:
        NoUsableTiles: not one can be read.
        TileError: one cannot, and `log` is strict.
    """
    embedded = embed_readable_tiles(model, tiles, context)
    if not len(embedded.tiles):
        raise none_usable(tiles, context)
    return embedded


def none_usable(tiles: TileSet, context: RunContext) -> NoUsableTiles:
    """The error for tiles of which not one can be used."""
    first = "".join(f" (the first, {bad.tile_id}: {bad.reason})" for bad in context.failures[:1])
    return NoUsableTiles(
        f"{tiles.source}: none of {len(tiles)} tiles can be used with this model{first}"
    )


def embed_readable_tiles(
    model: EmbeddingModel,
    tiles: TileSet,
    context: RunContext,
    keep: Keep = _keep_nothing,
) -> Embeddings:
    """As `embed_tiles`, but there may be no tiles, and not one that can be read."""
    started = time.perf_counter()
    context.start_stage("embedding tiles", len(tiles))
    embedder, preprocessing = model.embedder(), model.description.preprocessing
    kept: list[Tile] = []
    places: list[Place | None] = []
    vectors = np.empty((len(tiles), model.description.dimensions), np.float32)
    quadrants = np.empty((len(tiles), QUADRANTS), np.float32)
    with retain_freed_memory() if model.device_name == "cpu" else nullcontext():
        for batch in stream_batches(tiles, preprocessing, BATCH_SIZE, context, context.advance):
            rows = slice(len(kept), len(kept) + len(batch.tiles))
            vectors[rows] = embedder.vectors(batch.pixels)
            _check_finite(model, batch.tiles, vectors[rows])
            quadrants[rows] = quadrant_means(batch.pixels)
            keep(batch.tiles, batch.places, vectors[rows])
            kept.extend(batch.tiles)
            places.extend(batch.places)
    embedded = TileSet(tiles.source, tuple(kept), folders=tiles.folders)
    seconds = time.perf_counter() - started
    found = vectors[: len(kept)], quadrants[: len(kept)]
    return Embeddings(embedded, tuple(places), *found, seconds)


def _check_finite(
    model: EmbeddingModel, tiles: Sequence[Tile], vectors: NDArray[np.float32]
) -> None:
    """Raise `ModelDamaged` where an embedding is not finite: pixels always are."""
    if not np.isfinite(vectors).all():
        bad = int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])
        raise ModelDamaged(
            f"{model.folder} is damaged: the embedding of {tiles[bad].id} is not finite",
            hint="copy the model folder again, or train anew",
        )
