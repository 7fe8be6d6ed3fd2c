"""What the page shows of an index: facts, points, pictures, searches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve.browse.picture_maker import Picture, PictureMaker
from rsretrieve.browse.points import COLUMNS, FlatMap, points_of, principal_plane
from rsretrieve.errors import InputError, InvalidArgument
from rsretrieve.index.store.folder import IndexStore
from rsretrieve.search.filters import Filters
from rsretrieve.search.query import QueryRequest
from rsretrieve.search.search import QueryResult, SearchContext, run_queries

MOST_HITS, MOST_ANSWERS = 500, 10_000
SIDES_PX = (96, 192, 384, 768)
"""The sizes of pictures that can be asked for: another number of sizes would fill the cache."""
CARD_PX = SIDES_PX[1]
_NEGATIVE_WEIGHT = 0.5
_SHOWN_FIRST = 60


@dataclass(frozen=True)
class Wanted:
    """A search of the page.

    Attributes:
        likes: rows of tiles that the hits should be like.
        unlikes: rows of tiles that they should not be like.
        k: the number of hits.
        labels: only tiles with one of these labels; empty for all.
        bbox: only tiles in this box: west, south, east, north in degrees; None for all.
    """

    likes: tuple[int, ...]
    unlikes: tuple[int, ...] = ()
    k: int = 60
    labels: tuple[str, ...] = ()
    bbox: tuple[float, float, float, float] | None = None

    @classmethod
    def of_json(cls, content: Any, count: int) -> Wanted:
        """Read a request of the page.

        Args:
            content: parsed JSON.
            count: N tiles of the index.

        Raises:
            InvalidArgument: it is not as the page sends it.
        """
        try:
            box = content.get("bbox")
            wanted = cls(
                _rows(content.get("likes", []), count),
                _rows(content.get("unlikes", []), count),
                int(content.get("k", 60)),
                tuple(map(str, content.get("labels", []))),
                None if box is None else _box(box),
            )
        except (AttributeError, TypeError, ValueError, OverflowError) as error:
            raise InvalidArgument(f"the request cannot be read ({error})") from error
        if not 1 <= wanted.k <= MOST_HITS:
            raise InvalidArgument(f"k must be from 1 to {MOST_HITS}")
        return wanted

    @property
    def filters(self) -> Filters:
        """The conditions on hits."""
        return Filters(labels=self.labels, bbox=self.bbox)


def _rows(values: Any, count: int) -> tuple[int, ...]:
    rows = tuple(values)
    if len(rows) > MOST_ANSWERS or not all(type(row) is int and 0 <= row < count for row in rows):
        raise ValueError("rows of the index are expected")
    return rows


def _box(values: Any) -> tuple[float, float, float, float]:
    west, south, east, north = map(float, values)
    if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south <= north <= 90):
        raise ValueError("a box is west, south, east, north in degrees")
    return west, south, east, north


@dataclass(frozen=True)
class IndexView:
    """An open index, as the page needs it.

    Attributes:
        store: the index.
        context: the model for dropped files, and where notices go.
        bands: bands shown as red, green and blue, counted from 1; empty for the first three.
        flat: makes the map of similarity; see `points_of`.
    """

    store: IndexStore
    context: SearchContext
    bands: tuple[int, ...] = ()
    flat: FlatMap = field(default=principal_plane, repr=False)

    @cached_property
    def ids(self) -> list[str]:
        """The id of each tile."""
        return list(self.store.rows.column("id"))

    @cached_property
    def row_of(self) -> dict[str, int]:
        """The row of each tile id."""
        return {tile_id: row for row, tile_id in enumerate(self.ids)}

    @cached_property
    def labels(self) -> tuple[list[str], NDArray[np.int32]]:
        """The labels in order, and (N,) the number of each tile's label, −1 without one."""
        column = self.store.rows.column("label")
        names = sorted({label for label in column if label is not None})
        number = {name: position for position, name in enumerate(names)}
        return names, np.array([number.get(label, -1) for label in column], np.int32)

    @cached_property
    def points(self) -> NDArray[np.float32]:
        """(N, 5) float32, see `points_of`."""
        return points_of(self.store, self.labels[1], self.flat)

    def facts(self) -> dict[str, Any]:
        """What the page shows first."""
        return {
            "index": self.store.folder.name,
            "tiles": len(self.ids),
            "labels": self.labels[0],
            "columns": COLUMNS,
            "placed": int(np.isfinite(self.points[:, 0]).sum()),
        }

    def search(self, wanted: Wanted) -> list[dict[str, Any]]:
        """The tiles most similar to the mean of the examples less half the mean of the others.

        Raises:
            InvalidArgument: there is no example.
            InputError: the examples cancel each other out.
        """
        if not wanted.likes:
            raise InvalidArgument("a search needs at least one tile that the hits should be like")
        vectors = self.store.vectors
        total = np.asarray(vectors[list(wanted.likes)], np.float64).mean(axis=0)
        if wanted.unlikes:
            others = np.asarray(vectors[list(wanted.unlikes)], np.float64).mean(axis=0)
            total -= _NEGATIVE_WEIGHT * others
        norm = float(np.linalg.norm(total))
        if norm < 1e-6:
            raise InputError("the examples and the others cancel each other out")
        vector = (total / norm).astype(np.float32)
        return self._run(QueryRequest(vector=vector, k=wanted.k, filters=wanted.filters))

    def search_point(self, lon: float, lat: float, wanted: Wanted) -> list[dict[str, Any]]:
        """The tiles most similar to the one at a place."""
        request = QueryRequest(points=((lon, lat),), k=wanted.k, filters=wanted.filters)
        return self._run(request)

    def search_file(self, path: str, wanted: Wanted) -> list[dict[str, Any]]:
        """The tiles most similar to an image file."""
        return self._run(QueryRequest(images=(path,), k=wanted.k, filters=wanted.filters))

    def tiles(self, rows: Sequence[int]) -> list[dict[str, Any]]:
        """What the page shows of some tiles. The pictures of the first ones are made."""
        labels = self.store.rows.column("label")
        self.pictures.make_ahead(Picture(row, CARD_PX) for row in rows[:_SHOWN_FIRST])
        return [{"row": row, "tile": self.ids[row], "label": labels[row]} for row in rows]

    def picture(self, row: int, side_px: int) -> bytes:
        """A tile as WebP.

        Raises:
            TileError: it cannot be read.
        """
        return self.pictures.get(Picture(row, side_px))

    def around(self, row: int) -> bytes:
        """A window with its surroundings, as WebP.

        Raises:
            TileError: it cannot be read, or is a whole file.
        """
        return self.pictures.get(Picture(row, SIDES_PX[-1], is_wider=True))

    @cached_property
    def pictures(self) -> PictureMaker:
        """Makes the pictures of the tiles."""
        return PictureMaker(self.store.rows, self.bands)

    def _run(self, request: QueryRequest) -> list[dict[str, Any]]:
        # The failures of one search are no reason of the next.
        context = replace(self.context, run_context=self.context.run_context.fresh())
        [result] = run_queries(self.store, request, context) or [QueryResult("", None, ())]
        rows = [self.row_of[hit.found.id] for hit in result.hits]
        found = self.tiles(rows)
        return [
            {**tile, "similarity": round(hit.similarity, 4)}
            for tile, hit in zip(found, result.hits)
        ]
