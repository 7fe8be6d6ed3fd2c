"""The evidence of an audit, whatever its source: vectors, prototypes, training history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from rsretrieve._core.seeded_random import hash_uniform
from rsretrieve._core.text import some_of
from rsretrieve.audit.estimators.prototype_scores import LeftOut
from rsretrieve.audit.estimators.unit_vectors import UnitRows
from rsretrieve.data.geo.place import Place
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.errors import LabelsError

S = TypeVar("S", bound=np.generic)

_MOST_COPIED = 50_000  # more vectors stay where they are, perhaps on the disk


@dataclass(frozen=True)
class Evidence:
    """What is known about N labels.

    Attributes:
        tiles: N tiles, each with the label of a class.
        class_names: names of the K classes.
        vectors: N unit rows, the embeddings.
        prototypes: (K, D) float32, unit rows.
        temperature: σ of the softmax over the prototypes.
        class_sizes: (K,) int64, number of tiles behind each prototype.
        left_out: for prototypes that are means of the same tiles.
        places: tile id → where the tile lies, for tiles with a georeference.
        trained_on: (N,) bool, False for tiles whose labels the embedding and the prototypes do not
            depend on; None if they may depend on all.
        has_pixels: the tiles can be read, so near-duplicates are compared by their pixels.
        starting_features: (N, d) float32 unit rows, the features before the training learned
            labels; rows of zeros for tiles that the model was not trained on.
        area_under_margin: (N,) float32, in nats; NaN where unknown.
        training_weight: (N,) float32, m_i at the end of training; NaN where unknown.
        members: by each of several models, of the same tiles in the same order. This is then
            their average; see `from_models.joined`.
    """

    tiles: TileSet
    class_names: tuple[str, ...]
    vectors: UnitRows
    prototypes: NDArray[np.float32]
    temperature: float
    class_sizes: NDArray[np.int64]
    left_out: LeftOut | None = None
    places: Mapping[str, Place] = field(default_factory=dict)
    trained_on: NDArray[np.bool_] | None = None
    has_pixels: bool = False
    starting_features: NDArray[np.float32] | None = None
    area_under_margin: NDArray[np.float32] | None = None
    training_weight: NDArray[np.float32] | None = None
    members: tuple[Evidence, ...] = ()

    @property
    def each(self) -> tuple[Evidence, ...]:
        """The evidence by each model; this one if there is one model, or none."""
        return self.members or (self,)

    @cached_property
    def seen(self) -> NDArray[np.bool_]:
        """(N,) bool, tiles that a model was, or may have been, trained on."""
        if self.starting_features is not None:
            return np.asarray(self.starting_features.any(axis=1))
        known = self.trained_on
        return np.ones(len(self.tiles), bool) if known is None else known

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """(N,) int64 class numbers of the given labels."""
        return class_numbers(self.tiles, self.class_names)

    @cached_property
    def is_confirmed(self) -> NDArray[np.bool_]:
        """(N,) bool, a person decided on the label."""
        return np.array([tile.confirmed is not None for tile in self.tiles], bool)

    @cached_property
    def original_labels(self) -> NDArray[np.int64]:
        """(N,) int64 class numbers of the labels before any decision; −1 where unknown."""
        numbers = {name: number for number, name in enumerate(self.class_names)}
        found = self.labels.copy()
        for row in np.flatnonzero(self.is_confirmed).tolist():
            confirmed = self.tiles[row].confirmed
            found[row] = numbers.get((confirmed and confirmed.original) or "", -1)
        return found

    def in_order_of_ids(self, seed: int = 0) -> Evidence:
        """The same evidence in a random order that depends on the tiles' ids and a seed alone.

        The classes are in the order in which they are the label of a tile. The folds of
        cross-fitting and the order of equal neighbours depend on the order of the rows, and the
        last digits of sums on that of the classes. The results must not depend on the order in
        which the tiles were given, nor on the names of the classes.
        """
        keys = [hash_uniform(seed, "order of an audit", tile.id) for tile in self.tiles]
        found = self.taken(np.argsort(np.array(keys), kind="stable"))
        used, first = np.unique(found.labels, return_index=True)
        others = sorted(
            set(range(len(self.class_names))) - {*used.tolist()},
            key=lambda number: self.prototypes[number].tobytes(),
        )
        return found._with_classes(np.concatenate((used[np.argsort(first)], others)).astype(int))

    def _with_classes(self, order: NDArray[np.int64]) -> Evidence:
        """The same evidence with the K classes in another order."""
        left_out = self.left_out
        if left_out is not None:
            left_out = LeftOut(left_out.sum_norms[order], left_out.members)
        return replace(
            self,
            class_names=tuple(self.class_names[number] for number in order),
            prototypes=self.prototypes[order],
            class_sizes=self.class_sizes[order],
            left_out=left_out,
            members=tuple(each._with_classes(order) for each in self.members),
        )

    def taken(self, rows: NDArray[np.int64]) -> Evidence:
        """The evidence of some of the tiles, in another order."""
        vectors = self.vectors.taken(rows)
        if len(rows) <= _MOST_COPIED:
            vectors = UnitRows(vectors[np.arange(len(rows))])
        left_out = self.left_out
        if left_out is not None:
            left_out = LeftOut(left_out.sum_norms, left_out.members[rows])
        return replace(
            self,
            tiles=self.tiles.select(rows.tolist()),
            vectors=vectors,
            left_out=left_out,
            trained_on=_taken(self.trained_on, rows),
            starting_features=_taken(self.starting_features, rows),
            area_under_margin=_taken(self.area_under_margin, rows),
            training_weight=_taken(self.training_weight, rows),
            members=tuple(each.taken(rows) for each in self.members),
        )

    def of(self, tiles: TileSet) -> Evidence:
        """The same of the same tiles, whose decisions may be others."""
        return replace(self, tiles=tiles)


def mean_of_known(values: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """(N,) float32 mean of those of some arrays (N,) that are no NaN; NaN where all are."""
    rows = np.stack(values)
    known = np.isfinite(rows)
    mean = np.where(known, rows, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return np.where(known.any(axis=0), mean, np.nan).astype(np.float32)


def _taken(values: NDArray[S] | None, rows: NDArray[np.int64]) -> NDArray[S] | None:
    return None if values is None else values[rows]


class EvidenceSource(Protocol):
    """Where evidence comes from: a trained model, or embeddings alone."""

    def class_names(self, tiles: TileSet) -> tuple[str, ...]:
        """The classes whose labels can be audited."""

    def collect(self, tiles: TileSet, context: RunContext) -> Evidence:
        """Collect the evidence on some tiles.

        Args:
            tiles: tiles whose labels are all in `class_names`.
            context: receives progress, and the tiles that cannot be used.

        Returns:
            The evidence on the tiles that can be used.
        """


def class_numbers(tiles: TileSet, names: tuple[str, ...]) -> NDArray[np.int64]:
    """Look up the class numbers of labels.

    Args:
        tiles: N tiles, each with a label in `names`.
        names: names of the K classes.

    Returns:
        (N,) int64, 0…K − 1.
    """
    numbers = {name: number for number, name in enumerate(names)}
    return np.array([numbers[str(tile.label)] for tile in tiles], np.int64)


def at_least_two_classes(tiles: TileSet) -> tuple[str, ...]:
    """The labels of tiles, sorted.

    Raises:
        LabelsError: all tiles have the same label.
    """
    names = tiles.class_names
    if len(names) < 2:
        raise LabelsError(
            f"{tiles.source}: every tile has the same label ({some_of(names)}); an audit needs "
            "at least two classes"
        )
    return names
