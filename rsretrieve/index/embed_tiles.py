"""Embed a set of tiles batch by batch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve.data.failures import first_of
from rsretrieve.data.geo.place import Place
from rsretrieve.data.loading.batches import stream_batches
from rsretrieve.data.pixels.packing import Packing
from rsretrieve.data.preprocessing.pixel_fingerprint import QUADRANTS, quadrant_means
from rsretrieve.data.profile.tile_features import FeatureSample
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.errors import ModelDamaged, NoUsableTiles
from rsretrieve.index.compatibility import fit_warnings
from rsretrieve.network.runtime.graph import EmbeddingModel
from rsretrieve.network.runtime.malloc import retain_freed_memory

BATCH_SIZE = 128
OnBatch = Callable[[list[Tile], list[Place | None], NDArray[np.float32]], None]
"""Called with each finished batch: B tiles, their places, and (B, D) float32 vectors."""


def _ignore_batch(*_: object) -> None:
    """The default: nothing is kept for a run that is resumed."""


@dataclass(frozen=True)
class Embeddings:
    """Embedded tiles; row i of every attribute belongs to tile i.

    Attributes:
        tiles: N tiles.
        places: the georeference of each tile, or None.
        vectors: (N, D) float32, unit rows.
        quadrants: (N, 4) float32, the mean brightness of each quarter; see `quadrant_means`.
        seconds: duration of the embedding.
    """

    tiles: TileSet
    places: tuple[Place | None, ...]
    vectors: NDArray[np.float32]
    quadrants: NDArray[np.float32]
    seconds: float


@dataclass(frozen=True)
class EmbeddedBatch:
    """A batch of tiles that was read and embedded.

    Attributes:
        tiles: B tiles.
        places: the georeference of each, or None.
        pixels: (B, C, S, S), preprocessed, in the tiles' own type.
        vectors: (B, D) float32, unit rows.
    """

    tiles: list[Tile]
    places: list[Place | None]
    pixels: NDArray[Any]
    vectors: NDArray[np.float32]


def embed_tiles(
    model: EmbeddingModel, tiles: TileSet, context: RunContext, packing: Packing | None = None
) -> Embeddings:
    """Embed all tiles that can be read.

    Args:
        model: the model.
        tiles: the tiles.
        context: receives the tiles that cannot be read, and progress.
        packing: see `embed_readable_tiles`.

    Returns:
        The embeddings, in the order of `tiles`.

    Raises:
        NoUsableTiles: no tile can be read.
        TileError: a tile cannot be read, and the context is strict.
        ModelDamaged: an embedding is not finite.
    """
    embedded = embed_readable_tiles(model, tiles, context, packing=packing)
    if not len(embedded.tiles):
        raise no_usable_tiles(tiles, context)
    return embedded


def no_usable_tiles(tiles: TileSet, context: RunContext) -> NoUsableTiles:
    """The error to raise if no tile of a set can be used."""
    first = first_of(context.failures)
    return NoUsableTiles(
        f"{tiles.source}: none of {len(tiles)} tiles can be used with this model{first}"
    )


def embed_readable_tiles(
    model: EmbeddingModel,
    tiles: TileSet,
    context: RunContext,
    on_batch: OnBatch = _ignore_batch,
    packing: Packing | None = None,
) -> Embeddings:
    """Embed all tiles that can be read; unlike in `embed_tiles`, there may be none.

    Args:
        model: the model.
        tiles: the tiles.
        context: receives the tiles that cannot be read, and progress.
        on_batch: called with each finished batch.
        packing: the scale and offset to which tiles are converted, for a model that keeps none;
            see `common_packing`.

    Returns:
        The embeddings, in the order of `tiles`.

    Raises:
        TileError: a tile cannot be read, and the context is strict.
        ModelDamaged: an embedding is not finite.

        A notice says if the tiles are unlike those that the model was trained on.
    """
    started = time.perf_counter()
    context.start_stage("embedding tiles", len(tiles))
    kept: list[Tile] = []
    places: list[Place | None] = []
    vectors = np.empty((len(tiles), model.description.dimensions), np.float32)
    quadrants = np.empty((len(tiles), QUADRANTS), np.float32)
    sample = FeatureSample(len(tiles), len(model.description.preprocessing.bands))
    for batch in embedded_batches(model, tiles, context, packing):
        rows = slice(len(kept), len(kept) + len(batch.tiles))
        vectors[rows] = batch.vectors
        quadrants[rows] = quadrant_means(batch.pixels)
        sample.add(batch.pixels)
        on_batch(batch.tiles, batch.places, vectors[rows])
        kept.extend(batch.tiles)
        places.extend(batch.places)
    embedded = TileSet(tiles.source, tuple(kept), folders=tiles.folders)
    seconds = time.perf_counter() - started
    found = vectors[: len(kept)], quadrants[: len(kept)]
    for text in fit_warnings(model.description, sample.features, found[0]):
        context.notice(text)
    return Embeddings(embedded, tuple(places), *found, seconds)


def embedded_batches(
    model: EmbeddingModel,
    tiles: TileSet,
    context: RunContext,
    packing: Packing | None = None,
    workers: int | None = None,
) -> Iterator[EmbeddedBatch]:
    """Read and embed tiles batch by batch, in their order.

    Args:
        model: the model.
        tiles: the tiles.
        context: receives the tiles that cannot be read, and progress.
        packing: see `embed_readable_tiles`.
        workers: the number of processes that decode; by default one a core.

    Raises:
        TileError: a tile cannot be read, and the context is strict.
        ModelDamaged: an embedding is not finite.
    """
    embedder, preprocessing = model.embedder(), model.description.preprocessing
    if packing is not None and preprocessing.packing is None:
        preprocessing = replace(preprocessing, packing=packing)
    batches = stream_batches(
        tiles, preprocessing, BATCH_SIZE, context, context.advance, workers=workers
    )
    with retain_freed_memory() if model.device_name == "cpu" else nullcontext():
        for batch in batches:
            vectors = embedder.vectors(batch.pixels)
            _check_finite(model, batch.tiles, vectors)
            yield EmbeddedBatch(batch.tiles, batch.places, batch.pixels, vectors)


def _check_finite(
    model: EmbeddingModel, tiles: Sequence[Tile], vectors: NDArray[np.float32]
) -> None:
    """Raise `ModelDamaged` if an embedding is not finite; pixels always are, so weights are not."""
    if not np.isfinite(vectors).all():
        bad = int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])
        raise ModelDamaged(
            f"{model.folder} is damaged: the embedding of {tiles[bad].id} is not finite",
            hint="copy the model folder again, or train the model again",
        )
