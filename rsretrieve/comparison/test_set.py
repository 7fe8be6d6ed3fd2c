"""The test tiles, which are the same for all models, and the figures of their queries."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rsretrieve._core.atomic_write import sha256_of_json
from rsretrieve._core.tables import read_table, write_csv
from rsretrieve._core.text import some_of
from rsretrieve.comparison.tile_digest import ImageDigests, TileDigest
from rsretrieve.data.discovery.image_areas import ImageKey, image_keys
from rsretrieve.data.labels.class_names import spelling_notices
from rsretrieve.data.labels.true_labels import named_in_truth, true_labels_of
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.errors import InputError, LabelsError
from rsretrieve.evaluation.retrieval_metrics import (
    PRECISION_CUTS,
    RECALL_CUTS,
    LabelledVectors,
    measure_queries,
)
from rsretrieve.index.common_packing import packing_of_tiles
from rsretrieve.index.embed_tiles import Embeddings, embed_tiles
from rsretrieve.network.device import Precision
from rsretrieve.network.embedder import Embedder
from rsretrieve.network.fuse_batchnorm import fuse_batchnorm
from rsretrieve.network.model import Model
from rsretrieve.training.frozen.feature_cache import FeatureCache, VectorsOfFeatures

METRICS = (
    *("map", "map_at_r"),
    *(f"precision_at_{k}" for k in PRECISION_CUTS),
    *(f"recall_at_{k}" for k in RECALL_CUTS),
    "knn_accuracy",
)


@dataclass(frozen=True)
class TestSet:
    """Queries and the gallery that they search.

    Attributes:
        queries: tiles with true labels; each content once.
        gallery: the same of the gallery; None if the queries search each other.
        keys: the content (or the path) and the window of each tile, by id.
        images: the digest of the images; see `ImageDigests`.
    """

    __test__ = False  # no class of tests

    queries: TileSet
    gallery: TileSet | None
    keys: dict[tuple[str, bool], ImageKey]
    images: str = ""

    @property
    def digest(self) -> TileDigest:
        """What tells this test from others: ids, true labels and images."""
        sides = (self.queries, self.gallery or ())
        records = [[[tile.id, tile.label] for tile in side] for side in sides]
        return TileDigest(sha256_of_json(records), self.images)

    def own_rows(self, queries: TileSet, gallery: TileSet) -> NDArray[np.int64]:
        """(Q,) the row of the gallery that shows the same image as a query, or −1."""
        in_gallery = self.gallery is not None
        row_of = {self.keys[tile.id, in_gallery]: row for row, tile in enumerate(gallery)}
        return np.array([row_of.get(self.keys[t.id, False], -1) for t in queries], np.int64)


@dataclass(frozen=True)
class QueryValues:
    """The figures of the queries of one model.

    Attributes:
        ids: the Q queries that have a relevant tile.
        values: (Q, M) float64, by `METRICS`.
        gallery: how many tiles were searched; 0 if that is not known.
    """

    ids: tuple[str, ...]
    values: NDArray[np.float64]
    gallery: int = 0

    def of(self, metric: str) -> dict[str, float]:
        """One figure by the id of the query."""
        return dict(zip(self.ids, self.values[:, METRICS.index(metric)].tolist()))


def prepare_test(test: TileSet, gallery: TileSet | None, context: RunContext) -> TestSet:
    """Take each content once, and leave out contents with contradicting labels.

    Args:
        test: the queries.
        gallery: what they search; None for each other.
        context: receives notices.

    Raises:
        LabelsError: no tile has a label.
        InputError: no query has a tile of its label to be found.
    """
    images, labelled = ImageDigests(), {"--test": _labelled("--test", test, context)}
    if gallery is not None:
        labelled["--gallery"] = _labelled("--gallery", gallery, context)
    everything = [(name, tile) for name, tiles in labelled.items() for tile in tiles]
    found = image_keys([tile for _, tile in everything], images.files)
    keys = {(t.id, name == "--gallery"): key for (name, t), key in zip(everything, found)}
    sides = [_each_once(tiles, keys, name, context) for name, tiles in labelled.items()]
    queries, others = sides[0], None if gallery is None else sides[-1]
    found_test = TestSet(queries, others, keys, images.of(t for side in sides for t in side))
    _require_relevant(found_test, context)
    return found_test


def with_truths(
    test: TileSet, gallery: TileSet | None, truth: Path | None, context: RunContext
) -> tuple[TileSet, TileSet | None]:
    """The test tiles and the gallery with the labels of a file of true labels; see `with_truth`.

    Raises:
        LabelsError: the file names no tile, or ids that both sides have for different images.
    """
    if truth is None:
        return test, gallery
    sides = [test] if gallery is None else [test, gallery]
    named = [named_in_truth(tiles, truth) for tiles in sides]
    if not any(named):
        raise LabelsError(
            f"{truth} names none of the tiles of {' and '.join(tiles.source for tiles in sides)}",
            hint="the column 'tile' holds tile ids: paths relative to the folder of tiles",
        )
    if gallery is not None:
        _refuse_shared_ids(test, gallery, named[0] & named[-1], truth)
    found = [with_truth(tiles, truth, context) for tiles in sides]
    return found[0], None if gallery is None else found[-1]


def _refuse_shared_ids(test: TileSet, gallery: TileSet, ids: set[str], truth: Path) -> None:
    both = [tile for tiles in (test, gallery) for tile in tiles if tile.id in ids]
    found: dict[str, set[ImageKey]] = defaultdict(set)
    for tile, key in zip(both, image_keys(both)):
        found[tile.id].add(key)
    if others := sorted(tile_id for tile_id, keys in found.items() if len(keys) > 1):
        raise LabelsError(
            f"{truth} names {len(others)} tiles by ids that both --test and --gallery have, for "
            f"different images ({some_of(others)})",
            hint="give lists with the true labels in their column 'label', and leave out --truth",
        )


def _labelled(name: str, tiles: TileSet, context: RunContext) -> TileSet:
    """The tiles with a label of `--test` or `--gallery`; a notice counts the others."""
    labelled = tiles.labelled()
    if not len(labelled):
        raise LabelsError(
            f"{name}: no tile of {tiles.source} has a label",
            hint="class sub-folders are the labels, or give a list with the column label",
        )
    if missing := len(tiles) - len(labelled):
        context.notice(f"{missing} tiles of {name} have no label and are left out")
    return labelled


def with_truth(tiles: TileSet, truth: Path | None, context: RunContext) -> TileSet:
    """The tiles with the labels of a file of true labels; tiles without one lose theirs.

    If the file names none of the tiles, they keep their labels, with a notice.
    """
    if truth is None:
        return tiles
    if not named_in_truth(tiles, truth):
        context.notice(f"{truth} names none of the tiles of {tiles.source}: they keep their labels")
        return tiles
    table = true_labels_of(tiles, truth)
    for text in table.notices:
        context.notice(text)
    return tiles.relabelled({tile.id: table.known.get(tile.id) for tile in tiles})


def measure(
    model: Model, test: TestSet, context: RunContext, cache: FeatureCache | None = None
) -> QueryValues:
    """Embed the test tiles, and compute the figures of every query.

    Args:
        model: the model.
        test: the tiles.
        context: receives the tiles that cannot be read, notices and progress.
        cache: features of the model's backbone, if it was frozen.

    Raises:
        NoUsableTiles, InputError: no query can be read, or none has a relevant tile.
    """
    if cache is not None:
        model = _with_features(model, cache)
    queries = _embedded(model, test.queries, context)
    gallery = queries if test.gallery is None else _embedded(model, test.gallery, context)
    names = sorted({*queries.tiles.class_names, *gallery.tiles.class_names})
    own = test.own_rows(queries.tiles, gallery.tiles)
    found = measure_queries(_side(queries, names), _side(gallery, names), own)
    right = (found.predicted == found.labels).astype(np.float64)
    ids = tuple(queries.tiles[int(row)].id for row in found.rows)
    return QueryValues(ids, np.column_stack([found.values, right]), len(gallery.tiles))


def write_values(path: Path, found: QueryValues) -> None:
    """Write the figures of the queries of one model as CSV."""
    rows = ((tile, *row) for tile, row in zip(found.ids, found.values.tolist()))
    write_csv(path, ("tile", *METRICS), rows, overwrite=True, follow=False)


def read_values(path: Path) -> QueryValues:
    """Read what `write_values` wrote.

    Raises:
        TableError, InputError: the file cannot be read, or is damaged.
    """
    ids, rows = [], []
    try:
        for _, row in read_table(path, ("tile", *METRICS)):
            ids.append(row["tile"])
            rows.append([float(row[name]) for name in METRICS])
    except ValueError as error:
        raise InputError(f"{path} is damaged ({error})", hint="remove it, and run again") from error
    values = np.array(rows, np.float64).reshape(len(rows), len(METRICS))
    if not len(rows) or not np.isfinite(values).all():
        raise InputError(f"{path} is damaged", hint="remove it, and run again")
    return QueryValues(tuple(ids), values)


def _with_features(model: Model, cache: FeatureCache) -> Model:
    # In float32, as the features of the training.
    preprocessing, exact = model.description.preprocessing, Precision.FLOAT32
    embedder = Embedder(fuse_batchnorm(model.network), preprocessing, model.device, exact)

    def features(pixels: NDArray[np.generic]) -> NDArray[np.float32]:
        return np.asarray(embedder.features(pixels).cpu(), np.float32)

    return replace(model, known=VectorsOfFeatures(cache, model.network, preprocessing, features))


def _embedded(model: Model, tiles: TileSet, context: RunContext) -> Embeddings:
    return embed_tiles(model, tiles, context, packing_of_tiles(model, tiles, context))


def _side(embedded: Embeddings, names: Sequence[str]) -> LabelledVectors:
    numbers = {name: number for number, name in enumerate(names)}
    labels = [numbers[str(tile.label)] for tile in embedded.tiles]
    return LabelledVectors(embedded.vectors, np.array(labels, np.int64))


def _each_once(
    tiles: TileSet, keys: dict[tuple[str, bool], ImageKey], name: str, context: RunContext
) -> TileSet:
    groups: dict[ImageKey, list[int]] = defaultdict(list)
    for row, tile in enumerate(tiles):
        groups[keys[tile.id, name == "--gallery"]].append(row)
    agreeing = [rows for rows in groups.values() if len({tiles[r].label for r in rows}) == 1]
    told = sum(map(len, agreeing))
    if copies := told - len(agreeing):
        context.notice(f"{copies} tiles of {name} are copies of others and are left out")
    if others := len(tiles) - told:
        context.notice(
            f"{others} tiles of {name} are copies of each other with different labels and are "
            "left out"
        )
    return tiles.select(sorted(rows[0] for rows in agreeing))


def _require_relevant(test: TestSet, context: RunContext) -> None:
    queries, gallery = test.queries, test.gallery or test.queries
    counts = Counter(tile.label for tile in gallery)
    lonely = 0
    for tile, own in zip(queries, test.own_rows(queries, gallery).tolist()):
        is_own = own >= 0 and gallery[own].label == tile.label
        lonely += counts[tile.label] - is_own < 1
    if lonely == len(queries):
        raise InputError(
            "no test tile has another tile of its label to be found: the test tiles are labelled "
            f"{some_of(queries.class_names, 5)}, and the gallery {some_of(gallery.class_names, 5)}",
            hint="give test tiles with several tiles of a class, and one spelling of each class",
        )
    if len(gallery.class_names) < 2:
        raise LabelsError(
            f"retrieval needs at least two classes to tell apart; all tiles are labelled "
            f"{some_of(gallery.class_names)}"
        )
    if lonely:
        where = "the gallery" if test.gallery is not None else "--test"
        context.notice(
            f"{lonely} test tiles have no other tile of their label in {where} and are left out"
        )
    both = {*queries.class_names, *gallery.class_names}
    for text in spelling_notices(both if test.gallery is not None else ()):
        context.notice(text)
