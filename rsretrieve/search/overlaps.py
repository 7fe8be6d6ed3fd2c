"""Which tiles of an index overlap or touch a tile.

Windows of one scene are compared by their pixels, exactly. Tiles of different files are compared by
their footprints, on a plane that touches the Earth between them. Their outlines are exact to a few
hundredths of a pixel: a gap of less than 1/2000 of a tile's side counts as touching. Where neither
is possible, only copies of a tile (its content, or its id) are recognised.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import cos, radians
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve.data.file_state import content_digest
from rsretrieve.data.geo.footprints import crosses_antimeridian
from rsretrieve.data.geo.place import Place
from rsretrieve.data.window import Window
from rsretrieve.index.store.columns import Footprints, TileWindows, taken_rows
from rsretrieve.index.store.folder import IndexStore
from rsretrieve.index.store.tile_table import IndexedTile
from rsretrieve.search.composed_query import Query

_GAP, _GAP_M = 5e-4, 1e-3  # of a tile's side; and in metres
_MARGIN, _SLACK = 2 * _GAP, 1e-7  # of bounding boxes: of the longer side, and in degrees
_LEAST_COS = 1e-3
_COLUMNS = ("id", "path", "content", "footprint", "parts")


@dataclass(frozen=True)
class Extent:
    """What a tile covers.

    Attributes:
        id: of a tile of the index; empty for an image.
        file: the absolute path of its file.
        content: the digest of the file's content; empty if unknown.
        window: its window in pixels; None for a whole file.
        place: its place on Earth, or None.
    """

    id: str
    file: str
    content: str
    window: Window | None
    place: Place | None

    @property
    def is_known(self) -> bool:
        """Whether overlap can be judged, at least with windows of the same scene."""
        return self.window is not None or self.place is not None


def extents_of_query(
    store: IndexStore, query: Query, places: Mapping[str, Place | None]
) -> tuple[Extent, ...]:
    """What the examples of a query cover; vectors cover nothing.

    Args:
        store: the index.
        query: the query.
        places: of its images, by tile id.
    """
    digest_of = cache(content_digest)  # thousands of windows may have one file
    found = []
    for term in query.terms:
        if term.row is not None:
            found.append(_extent_of_row(store, term.row))
        elif (tile := term.image) is not None:
            content = digest_of(tile.path) if tile.location.local_files else ""
            place = places.get(tile.id)
            found.append(Extent("", tile.location.absolute(), content, tile.window, place))
    return tuple(found)


def _extent_of_row(store: IndexStore, row: int) -> Extent:
    return Extents(store, np.array([row]))[0]


def overlap_notices(
    queries: Sequence[Sequence[Extent]], hits: Sequence[Sequence[IndexedTile]], k: int
) -> list[str]:
    """Notices of queries with too few hits, and of tiles whose overlap cannot be judged.

    Args:
        queries: what each query covers.
        hits: the hits of each.
        k: how many each was to have.
    """
    notices = []
    if short := sum(len(found) < k for found in hits):
        notices.append(
            f"{short} of {len(hits)} queries have fewer than {k} hits: all other tiles that pass "
            "the filters overlap or touch the query or a better hit (--no-overlap)"
        )
    found = [hit for one in hits for hit in one]
    vague = sum(hit.place is None and hit.tile.window is None for hit in found)
    unplaced = sum(not any(extent.is_known for extent in extents) for extents in queries)
    parts = [f"{vague} of {len(found)} hits"] * bool(vague)
    parts += [f"{unplaced} of {len(queries)} queries"] * bool(unplaced)
    if parts:
        notices.append(
            f"--no-overlap: overlap cannot be judged for {' and '.join(parts)}, which have no "
            "georeference; of these only copies are left out"
        )
    return notices


class Extents:
    """What some tiles of an index cover.

    Args:
        store: the index.
        rows: (R,) int64, rows of the index.
    """

    def __init__(self, store: IndexStore, rows: NDArray[np.int64]) -> None:
        table = taken_rows(store.rows, rows, _COLUMNS)
        self._store, self._rows = store, rows
        self._ids = np.array(table.column("id"), object)
        self._contents = np.array([content or "" for content in table.column("content")], object)
        windows = TileWindows.of(table)
        self._files = np.array(windows.files.to_pylist(), object)
        self._edges, self._is_window = windows.edges, windows.is_window
        footprints = Footprints.of(table)
        self._placed, self._boxes = footprints.rows, footprints.boxes()
        # Embeddings from elsewhere may give the path of a scene for each of its tiles.
        self._shares_paths = bool(store.manifest.provenance)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, position: int) -> Extent:
        col, row, right, bottom = self._edges[position].tolist()
        window = Window(col, row, right - col, bottom - row) if self._is_window[position] else None
        return Extent(
            self._ids[position],
            self._files[position],
            self._contents[position],
            window,
            self._store.rows[int(self._rows[position])].place,
        )

    def touching_any(self, others: Iterable[Extent]) -> NDArray[np.bool_]:
        """(R,) bool, whether each tile overlaps or touches one of several others."""
        found = np.zeros(len(self), bool)
        for one in others:
            found |= self.touching(one)
        return found

    def touching(self, one: Extent) -> NDArray[np.bool_]:
        """(R,) bool, whether each tile overlaps or touches another one."""
        same_content = (self._contents == one.content) & (one.content != "")
        both_known = (self._contents != "") & (one.content != "")
        same_file = same_content | (~both_known & (self._files == one.file) & (one.file != ""))
        by_pixels = same_file & self._is_window & (one.window is not None)
        found = by_pixels & self._meet_in_pixels(one.window)
        found |= (same_content if self._shares_paths else same_file) & ~by_pixels
        found |= (self._ids == one.id) & (one.id != "")
        left = np.flatnonzero(~found & ~by_pixels)
        found[self._meet_on_ground(one.place, left)] = True
        return np.asarray(found, bool)

    def _meet_in_pixels(self, window: Window | None) -> NDArray[np.bool_]:
        """(R,) bool, whether windows overlap or touch a window of the same scene."""
        if window is None:
            return np.zeros(len(self), bool)
        left, top, right, bottom = self._edges.T
        beside = (left > window.col + window.width) | (right < window.col)
        above = (top > window.row + window.height) | (bottom < window.row)
        return np.asarray(~(beside | above))

    def _meet_on_ground(self, place: Place | None, among: NDArray[np.int64]) -> NDArray[np.int64]:
        """The positions, of those given, of footprints that overlap or touch a place."""
        if place is None:
            return np.empty(0, np.int64)
        near = np.intersect1d(self._placed[_boxes_near(self._boxes, place)], among)
        if not len(near):
            return near
        others = [self._store.rows[row].place for row in self._rows[near].tolist()]
        return np.asarray(near[_meet(place, others)])


def _boxes_near(boxes: NDArray[np.float64], place: Place) -> NDArray[np.bool_]:
    """(M,) bool, whether bounding boxes may meet that of a place."""
    lons, lats = (np.array(axis) for axis in zip(*place.footprint))
    if crosses_antimeridian(place.footprint):
        lons = np.where(lons < 0, lons + 360, lons)
    w, s, e, n = lons.min(), lats.min(), lons.max(), lats.max()
    across = max(cos(radians(min(90.0, max(abs(s), abs(n)) + 0.01))), _LEAST_COS)
    margin = _MARGIN * max(n - s, (e - w) * across) + _SLACK
    west, south, east, north = boxes.T
    level = (south <= n + margin) & (north >= s - margin)
    near = np.zeros(len(boxes), bool)
    for turn in (-360.0, 0.0, 360.0):
        near |= level & (west + turn <= e + margin / across) & (east + turn >= w - margin / across)
    return near


def _meet(place: Place, others: Sequence[Place | None]) -> list[int]:
    """The positions of the places that overlap or touch a place."""
    import shapely

    from rsretrieve.data.splitting.footprint_shapes import pairs_on_planes

    shapes, owners = _shapes_of([place, *others])
    own, rest = np.flatnonzero(owners == 0), np.flatnonzero(owners > 0)
    ones, seconds = np.repeat(own, len(rest)), np.tile(rest, len(own))
    a, b = pairs_on_planes(shapes[ones], shapes[seconds])
    sides_m = np.sqrt(np.minimum(shapely.area(a), shapely.area(b)))
    meeting = shapely.dwithin(a, b, _GAP * sides_m + _GAP_M)
    return sorted({int(owner) - 1 for owner in owners[seconds[meeting]]})


def _shapes_of(places: Sequence[Place | None]) -> tuple[NDArray[np.object_], NDArray[np.int64]]:
    """The shapes of places, and the position of each; also of points and lines."""
    import shapely

    from rsretrieve.data.splitting.footprint_shapes import FootprintShapes

    areas = FootprintShapes.of(places)
    thin = [
        (i, shapely.LineString(place.footprint) if place.footprint[1:] else _point_of(place))
        for i, place in enumerate(places)
        if place is not None and len(place.footprint) < 3
    ]
    shapes = np.empty(len(areas.shapes) + len(thin), object)
    shapes[:] = [*areas.shapes, *(shape for _, shape in thin)]
    return shapes, np.concatenate([areas.owners, np.array([i for i, _ in thin], np.int64)])


def _point_of(place: Place) -> Any:
    import shapely

    return shapely.Point(place.footprint[0])
