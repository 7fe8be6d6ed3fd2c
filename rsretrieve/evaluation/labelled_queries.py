"""Embed queries with known labels: each content once, as in the gallery."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rsretrieve.data.discovery.image_areas import image_keys
from rsretrieve.data.file_state import FileStates
from rsretrieve.data.pixels.packing import Packing
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.errors import LabelsError
from rsretrieve.evaluation.gallery import Gallery, LeftOut
from rsretrieve.index.embed_tiles import embed_tiles
from rsretrieve.network.model import Model


@dataclass(frozen=True)
class Queries:
    """Embedded queries.

    Attributes:
        vectors: (Q, D) float32, unit rows.
        labels: Q labels.
        own_rows: (Q,) the row of each query in the gallery, or −1.
        left_out: the queries that are not among them.
    """

    vectors: NDArray[np.float32]
    labels: list[str]
    own_rows: NDArray[np.int64]
    left_out: LeftOut = field(default_factory=LeftOut)


@dataclass(frozen=True)
class AsIndexed:
    """The model of an index, and the scale and offset that the index keeps."""

    model: Model
    packing: Packing | None


def embedded_queries(
    queries: TileSet, indexed: AsIndexed, gallery: Gallery, context: RunContext
) -> Queries:
    """Embed the labelled queries; a content that several queries have counts once.

    Args:
        queries: tiles with labels.
        indexed: embeds them.
        gallery: the tiles that are searched.
        context: receives queries that cannot be read, and notices of how many are left out.

    Raises:
        LabelsError: no query has a label, or none has one that its copies have, too.
        NoUsableTiles: no query can be read.
    """
    labelled = queries.labelled()
    if not len(labelled):
        raise LabelsError(
            f"{queries.source}: no tile has a label",
            hint="class sub-folders are the labels, or give --labels FILE.csv (tile,label)",
        )
    if unlabelled := len(queries) - len(labelled):
        context.notice(f"{unlabelled} queries have no label and are left out")
    files = FileStates(labelled)
    embedded = embed_tiles(indexed.model, labelled, context, indexed.packing)
    groups = _same_images(embedded.tiles.tiles, files)
    agreeing = [group for group in groups if len({embedded.tiles[i].label for i in group}) == 1]
    told = sum(map(len, agreeing))
    left_out = LeftOut(
        queries_without_label=unlabelled,
        queries_copies=told - len(agreeing),
        queries_contradicting=len(embedded.tiles) - told,
    )
    _notice_copies(left_out, context)
    if not agreeing:
        raise LabelsError(
            f"{queries.source}: no query has a label that its copies have, too",
            hint="correct the labels of the copies",
        )
    kept = embedded.tiles.select([group[0] for group in agreeing])
    return Queries(
        vectors=embedded.vectors[[group[0] for group in agreeing]],
        labels=[str(tile.label) for tile in kept],
        own_rows=np.array(gallery.rows_of(kept.tiles, files), np.int64),
        left_out=left_out,
    )


def _same_images(tiles: Sequence[Tile], files: FileStates) -> list[list[int]]:
    """The positions of tiles, those with the same image together, each group sorted by id."""
    groups: dict[object, list[int]] = {}
    for position, key in enumerate(image_keys(tiles, files)):
        groups.setdefault(key, []).append(position)
    return [sorted(group, key=lambda i: tiles[i].id) for group in groups.values()]


def _notice_copies(left_out: LeftOut, context: RunContext) -> None:
    if count := left_out.queries_copies:
        context.notice(f"{count} queries have the content of another query and are left out")
    if count := left_out.queries_contradicting:
        context.notice(
            f"{count} queries are copies of one another with different labels and are left out"
        )
