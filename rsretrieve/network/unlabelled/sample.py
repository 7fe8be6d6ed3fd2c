"""The tiles that an embedding is fitted to, read and preprocessed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rsretrieve._core.seeded_random import hash_uniform
from rsretrieve.data.failures import first_of
from rsretrieve.data.geo.place import Place
from rsretrieve.data.loading.batches import stream_batches
from rsretrieve.data.preprocessing.normalize import Normaliser
from rsretrieve.data.preprocessing.preprocessing import Preprocessing
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.errors import NoUsableTiles

FITTED_TILES = 2000
"""Tiles that an embedding is fitted to, at most: 128 components of UC Merced need no more."""

_BATCH = 128


@dataclass(frozen=True)
class FitSample:
    """Some tiles of a set.

    Attributes:
        tiles: N ≥ 1 tiles.
        places: where each lies, or None.
        pixels: (N, C, S, S) preprocessed, in the tiles' own type.
        preprocessing: that made them.
    """

    tiles: TileSet
    places: tuple[Place | None, ...]
    pixels: NDArray[np.generic]
    preprocessing: Preprocessing

    def normalised(self) -> Tensor:
        """(N, C, S, S) float32, as a network takes them, on the CPU."""
        normaliser = Normaliser(self.preprocessing, torch.device("cpu"))
        return normaliser.network_input(normaliser.unit_values(self.pixels))


def read_sample(
    tiles: TileSet, preprocessing: Preprocessing, seed: int, context: RunContext
) -> FitSample:
    """Read the tiles that an embedding is fitted to.

    Tiles that cannot be read are left out; they are reported when all tiles are embedded.

    Args:
        tiles: the user's tiles.
        preprocessing: of the embedding.
        seed: of the choice, which depends on the tiles' ids.
        context: receives progress.

    Raises:
        NoUsableTiles: none of them can be read.
    """
    order = sorted(range(len(tiles)), key=lambda i: hash_uniform(seed, "fit", tiles[i].id))
    chosen = tiles.select(sorted(order[:FITTED_TILES]))
    context.start_stage("fitting an embedding", len(chosen))
    kept: list[Tile] = []
    places: list[Place | None] = []
    pixels: list[NDArray[np.generic]] = []
    failing = RunContext()
    for batch in stream_batches(chosen, preprocessing, _BATCH, failing, context.advance):
        kept += batch.tiles
        places += batch.places
        pixels.append(batch.pixels)
    if not kept:
        raise NoUsableTiles(
            f"{tiles.source}: no embedding can be fitted, for none of {len(chosen)} tiles can be "
            f"read{first_of(failing.failures)}"
        )
    found = replace(chosen, tiles=tuple(kept), notices=())
    return FitSample(found, tuple(places), np.concatenate(pixels), preprocessing)
