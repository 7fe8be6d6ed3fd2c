"""Conditions that a tile of an index must meet to be a hit."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rsretrieve.data.labels.class_names import clean_label
from rsretrieve.errors import InputError, InvalidArgument, LabelsError
from rsretrieve.index.store.columns import Footprints, encode_column
from rsretrieve.index.store.tile_table import TileTable

DUPLICATE_SIMILARITY = 0.999


@dataclass(frozen=True)
class Filters:
    """Conditions on a hit; a condition that is not set passes every tile.

    Attributes:
        labels: the label is one of these.
        bbox: the footprint intersects this box: west, south, east, north in degrees; west > east
            crosses the antimeridian.
        within: the footprint lies completely within the polygons of this GeoJSON file.
        min_similarity: the cosine similarity to the query is at least this.
        exclude_self: the tile is not the query's own file (and window).
        distinct_scene: the tile is the best hit of its file.
        duplicate_similarity: the cosine similarity to every better hit is below this.
        no_overlap: the tile neither overlaps nor touches the query or a better hit.

    Raises:
        InvalidArgument: a similarity is outside −1…1.
    """

    labels: tuple[str, ...] = ()
    bbox: tuple[float, float, float, float] | None = None
    within: Path | None = None
    min_similarity: float | None = None
    exclude_self: bool = False
    distinct_scene: bool = False
    duplicate_similarity: float | None = None
    no_overlap: bool = False

    def __post_init__(self) -> None:
        for value in (self.min_similarity, self.duplicate_similarity):
            if value is not None and not -1 <= value <= 1:
                raise InvalidArgument(f"a similarity must lie in -1…1, not {value:g}")

    @property
    def restricts_rows(self) -> bool:
        """Whether a condition depends on the id table alone, not on the query."""
        return bool(self.labels) or self.bbox is not None or self.within is not None

    @property
    def depends_on_better_hits(self) -> bool:
        """Whether a condition on a hit depends on the better hits."""
        repeats = self.distinct_scene or self.no_overlap
        return repeats or self.duplicate_similarity is not None

    @property
    def is_unrestricted(self) -> bool:
        """Whether no condition is set, except perhaps `exclude_self`."""
        return not (
            self.restricts_rows or self.depends_on_better_hits or self.min_similarity is not None
        )


def passing_rows(table: TileTable, filters: Filters) -> NDArray[np.int64] | None:
    """The rows that meet the conditions on label and place.

    Args:
        table: N tiles.
        filters: the conditions.

    Returns:
        (R,) int64, rising; None if all rows pass.

    Raises:
        LabelsError: no tile has a label of the filter.
        InputError: no tile has a georeference, or the polygons cannot be read.
        InvalidArgument: the bounding box is out of range.
    """
    if not filters.restricts_rows:
        return None
    passing = np.ones(len(table), bool)
    if filters.labels:
        passing &= _with_labels(table, filters.labels)
    if filters.bbox is not None or filters.within is not None:
        passing &= _in_place(table, filters)
    return np.flatnonzero(passing)


def _with_labels(table: TileTable, labels: tuple[str, ...]) -> NDArray[np.bool_]:
    codes, names = encode_column(table, "label")
    wanted: list[str] = []
    for label in labels:
        # Indexes of earlier versions may hold one name in two Unicode forms.
        same = [name for name in names if clean_label(name) == clean_label(label)]
        wanted += same
        if not same:
            near = difflib.get_close_matches(label, names, n=3, cutoff=0.5)
            there = " or ".join(near) or ", ".join(sorted(names)[:10]) or "none"
            raise LabelsError(
                f"no tile of the index has the label {label!r}",
                hint=f"Did you mean {there}?" if near else f"its labels are: {there}",
            )
    return np.isin(codes, [names.index(label) for label in wanted])


def _in_place(table: TileTable, filters: Filters) -> NDArray[np.bool_]:
    from rsretrieve.search.search_area import box_area, read_area
    from rsretrieve.search.spatial import rows_intersecting, rows_within

    footprints = Footprints.of(table)
    if not len(footprints):
        raise InputError("no tile of the index has a georeference: filters by place find nothing")
    passing = np.ones(len(table), bool)
    if filters.bbox is not None:
        passing &= _mask(len(table), rows_intersecting(footprints, box_area(filters.bbox)))
    if filters.within is not None:
        passing &= _mask(len(table), rows_within(footprints, read_area(filters.within)))
    return passing


def _mask(length: int, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    mask = np.zeros(length, bool)
    mask[rows] = True
    return mask
