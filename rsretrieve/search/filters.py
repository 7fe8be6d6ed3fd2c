"""Which tiles of an index may be hits."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rsretrieve.errors import InputError, InvalidArgument, LabelsError
from rsretrieve.index.store.columns import Footprints, codes_of
from rsretrieve.index.store.tile_table import TileTable

DUPLICATE_SIMILARITY = 0.999


@dataclass(frozen=True)
class Filters:
    """What a hit must be; what is not set lets everything pass.

    Attributes:
        labels: its label is one of these.
        bbox: its footprint meets this box: west, south, east, north in degrees; west > east
            crosses the antimeridian.
        within: its footprint lies whole in the polygons of this GeoJSON file.
        min_similarity: at least this similar.
        exclude_self: not the query's own file (and window).
        distinct_scene: of each file the best hit only.
        duplicate_similarity: less similar than this to every better hit.
    """

    labels: tuple[str, ...] = ()
    bbox: tuple[float, float, float, float] | None = None
    within: Path | None = None
    min_similarity: float | None = None
    exclude_self: bool = False
    distinct_scene: bool = False
    duplicate_similarity: float | None = None

    def __post_init__(self) -> None:
        for value in (self.min_similarity, self.duplicate_similarity):
            if value is not None and not -1 <= value <= 1:
                raise InvalidArgument(f"a similarity lies in -1…1, not {value:g}")

    @property
    def choose_rows(self) -> bool:
        """Whether they can be told by the id table alone, whatever the query."""
        return bool(self.labels) or self.bbox is not None or self.within is not None

    @property
    def judge_hits(self) -> bool:
        """Whether a hit's passing hangs on the better ones."""
        return self.distinct_scene or self.duplicate_similarity is not None

    @property
    def pass_all(self) -> bool:
        """Whether nothing is filtered, but perhaps the query itself."""
        return not (self.choose_rows or self.judge_hits or self.min_similarity is not None)


def chosen_rows(table: TileTable, filters: Filters) -> NDArray[np.int64] | None:
    """The rows, rising, that pass by label and place; None for all.

    Raises:
        LabelsError: a label that no tile has.
        InputError: a place is asked for, and no tile has one; or the polygons cannot be read.
    """
    if not filters.choose_rows:
        return None
    passing = np.ones(len(table), bool)
    if filters.labels:
        passing &= _with_labels(table, filters.labels)
    if filters.bbox is not None or filters.within is not None:
        passing &= _in_place(table, filters)
    return np.flatnonzero(passing)


def _with_labels(table: TileTable, labels: tuple[str, ...]) -> NDArray[np.bool_]:
    codes, names = codes_of(table, "label")
    for label in labels:
        if label not in names:
            near = difflib.get_close_matches(label, names, n=3, cutoff=0.5)
            there = ", ".join(near or sorted(names)[:10]) or "none"
            raise LabelsError(
                f"no tile of the index has the label {label!r}",
                hint=f"{'near to it' if near else 'labels that there are'}: {there}",
            )
    return np.isin(codes, [names.index(label) for label in labels])


def _in_place(table: TileTable, filters: Filters) -> NDArray[np.bool_]:
    from rsretrieve.search.spatial import box_area, read_area, rows_meeting, rows_within

    footprints = Footprints.of(table)
    if not len(footprints):
        raise InputError("no tile of the index has a georeference: none can be found by place")
    passing = np.ones(len(table), bool)
    if filters.bbox is not None:
        passing &= _mask(len(table), rows_meeting(footprints, box_area(filters.bbox)))
    if filters.within is not None:
        passing &= _mask(len(table), rows_within(footprints, read_area(filters.within)))
    return passing


def _mask(length: int, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    mask = np.zeros(length, bool)
    mask[rows] = True
    return mask
