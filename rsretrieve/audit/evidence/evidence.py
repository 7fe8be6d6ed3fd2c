"""What labels are judged by, wherever it comes from: vectors, prototypes and their temperature."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rsretrieve.audit.estimators.prototype_scores import LeftOut
from rsretrieve.audit.estimators.unit_vectors import UnitRows
from rsretrieve.data.geo.place import Place
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet


@dataclass(frozen=True)
class Evidence:
    """What there is to judge N labels by.

    Attributes:
        tiles: N tiles, each with the label of a class.
        class_names: of the K classes.
        vectors: N unit rows.
        prototypes: (K, D) float32, unit rows.
        temperature: σ.
        class_sizes: (K,) int64, how many tiles stand behind each prototype.
        left_out: for prototypes that are means of these very tiles.
        places: tile id → where it lies, of those of which that is known.
        has_pixels: the tiles can be read, and twins be told by their pixels.
        first_view: (N, d) float32 unit rows, the tiles as they looked before labels were
            learned; rows of zeros where that is not known.
        areas: (N,) float32, area under the margin in training; NaN where it is not known.
        weights: (N,) float32, m_i at the end of training; NaN where it is not known.
    """

    tiles: TileSet
    class_names: tuple[str, ...]
    vectors: UnitRows
    prototypes: NDArray[np.float32]
    temperature: float
    class_sizes: NDArray[np.int64]
    left_out: LeftOut | None = None
    places: Mapping[str, Place] = field(default_factory=dict)
    has_pixels: bool = False
    first_view: NDArray[np.float32] | None = None
    areas: NDArray[np.float32] | None = None
    weights: NDArray[np.float32] | None = None

    def labels(self) -> NDArray[np.int64]:
        """(N,) the given labels' class numbers."""
        return class_numbers(self.tiles, self.class_names)


class Basis(Protocol):
    """Where evidence comes from: a trained model, or embeddings alone."""

    def class_names(self, tiles: TileSet) -> tuple[str, ...]:
        """The classes it can judge."""

    def evidence(self, tiles: TileSet, context: RunContext) -> Evidence:
        """Gather the evidence on tiles whose labels are all classes of it.

        Those that cannot be used go to `log`.
        """


def class_numbers(tiles: TileSet, names: tuple[str, ...]) -> NDArray[np.int64]:
    """(N,) the numbers of the tiles' labels among the names."""
    numbers = {name: number for number, name in enumerate(names)}
    return np.array([numbers[str(tile.label)] for tile in tiles], np.int64)
