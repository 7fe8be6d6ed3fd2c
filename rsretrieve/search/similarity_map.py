"""The similarity of every window of a scene to a query, on the scene's grid."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow
from numpy.typing import NDArray

from rsretrieve._core.paths import Location
from rsretrieve.data.geo.fitted_transform import Transform, corners_of, fitted_transform
from rsretrieve.data.geo.plain_systems import require_plain_system
from rsretrieve.data.windowing import WindowChoices
from rsretrieve.errors import InputError
from rsretrieve.index.store.columns import TileWindows, number_texts, taken, taken_rows
from rsretrieve.index.store.folder import IndexStore
from rsretrieve.search.exact import similarities_to

_BLOCK = 1 << 16
MOST_PIXELS = 1 << 27
_CELLS_A_WINDOW = 4  # along a side, where windows lie on no grid
_IN_PIXELS = Transform(1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


@dataclass(frozen=True)
class SceneWindows:
    """The windows of a scene in an index.

    Attributes:
        file: the path of the scene, or its name in the ids.
        rows: (M,) int64, rows of the index.
        edges: (M, 4) int64, first column and row, and those after the last.
    """

    file: str
    rows: NDArray[np.int64]
    edges: NDArray[np.int64]

    @property
    def name(self) -> str:
        """The name of the file, without its suffix."""
        return Path(Location.parse(self.file).name).stem


@dataclass(frozen=True)
class SimilarityMap:
    """The similarities of a scene's windows to a query.

    Attributes:
        scene: the scene.
        values: (H, W) float32, cosine similarities; NaN where there is no window.
        transform: from columns and rows of the map to `crs`; to pixels of the scene without one.
        crs: the scene's coordinate reference system; None if it has no georeference.
        cell_px: width and height of a pixel of the map, in pixels of the scene.
        is_regular: the windows lie on a grid, and each pixel is one window. Otherwise a pixel is
            the most similar window that contains its centre.
    """

    scene: SceneWindows
    values: NDArray[np.float32]
    transform: Transform
    crs: str | None
    cell_px: tuple[float, float]
    is_regular: bool


def scenes_of(store: IndexStore) -> list[SceneWindows]:
    """The scenes of an index, by path.

    Raises:
        InputError: no tile of the index is a window of a scene.
    """
    found = TileWindows.of(store.rows)
    windows = np.flatnonzero(found.is_window)
    if not len(windows):
        raise InputError(
            f"{store.folder} has no windows of a scene: there is no grid for a similarity map",
            hint="index a scene by its windows: rsretrieve index SCENE --window PX",
        )
    codes, texts = number_texts(taken(found.files, windows))
    names = texts.to_pylist()
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order], np.arange(len(names) + 1))
    scenes = []
    for number, name in enumerate(names):
        rows = windows[order[starts[number] : starts[number + 1]]]
        scenes.append(SceneWindows(name, rows, found.edges[rows]))
    return sorted(scenes, key=lambda scene: scene.file)


def similarity_map(
    store: IndexStore, scene: SceneWindows, vectors: NDArray[np.float32]
) -> SimilarityMap:
    """The similarity of every window of a scene.

    Args:
        store: the index.
        scene: the scene.
        vectors: (P, D) float32, unit rows: the query. A window has the highest of its
            similarities to them.

    Returns:
        The map.

    Raises:
        InputError: the map would be too large, or the places of the windows contradict each other.
    """
    return map_of_values(store, scene, _similarities(store, scene.rows, vectors))


def map_of_values(
    store: IndexStore, scene: SceneWindows, values_of_windows: NDArray[np.float32]
) -> SimilarityMap:
    """Any values of a scene's windows, on the scene's grid.

    Args:
        store: the index.
        scene: the scene.
        values_of_windows: (M,) float32, a value for each window; NaN for none. Where windows
            overlap a pixel, it has the largest.

    Returns:
        The map.

    Raises:
        InputError: the map would be too large, or the places of the windows contradict each other.
    """
    transform, crs = _georeference(store, scene)
    grid = _regular_grid(store, scene)
    if grid is None:
        return _painted(scene, values_of_windows, transform, crs)
    across, down = grid
    _require_size(scene, down.count, across.count)
    values = np.full((down.count, across.count), np.nan, np.float32)
    np.fmax.at(values, (down.places, across.places), values_of_windows)
    # The centre of a pixel is that of its window.
    origin = across.first - across.step / 2, down.first - down.step / 2
    step = across.step, down.step
    return SimilarityMap(scene, values, transform.on_grid(origin, step), crs, step, True)


def _similarities(
    store: IndexStore, rows: NDArray[np.int64], vectors: NDArray[np.float32]
) -> NDArray[np.float32]:
    found = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), _BLOCK):
        block = np.asarray(store.vectors[rows[start : start + _BLOCK]])
        best = np.max([similarities_to(vector, block) for vector in vectors], axis=0)
        found[start : start + _BLOCK] = np.clip(best, -1, 1)
    return found


@dataclass(frozen=True)
class _Axis:
    """Windows along an axis: the centre of the first, their distance in pixels, and places (M,)."""

    first: float
    step: float
    places: NDArray[np.int64]

    @property
    def count(self) -> int:
        return int(self.places.max()) + 1


def _regular_grid(store: IndexStore, scene: SceneWindows) -> tuple[_Axis, _Axis] | None:
    """The columns and rows of the windows; None if they lie on no grid, or differ in size."""
    choices = WindowChoices.from_json(store.manifest.windows)
    sizes = scene.edges[:, 2:] - scene.edges[:, :2]
    # With --resolution, each start is rounded to whole pixels of the scene.
    rounding = 0.0 if choices is None or choices.resolution_m is None else 1.0
    if (np.ptp(sizes, axis=0) > rounding).any():
        return None
    stride = None
    if choices is not None and choices.resolution_m is None:
        stride = choices.stride_px or choices.window_px
    axes = [_axis(scene.edges[:, i], int(sizes[0, i]), stride, rounding) for i in (0, 1)]
    across, down = axes
    return None if across is None or down is None else (across, down)


def _axis(
    starts: NDArray[np.int64], size: int, stride: int | None, rounding: float
) -> _Axis | None:
    places, which = np.unique(starts, return_inverse=True)
    first = float(places[0]) + size / 2
    if len(places) == 1:
        return _Axis(first, float(stride or size), np.zeros(len(starts), np.int64))
    gaps = np.diff(places)
    numbers = np.concatenate(([0], np.cumsum(np.rint(gaps / (stride or gaps.min()))))).astype(int)
    step = float(places[-1] - places[0]) / max(int(numbers[-1]), 1)
    off = np.abs(places - places[0] - numbers * step)
    if off.max() > rounding or (np.diff(numbers) < 1).any():
        return None
    return _Axis(first, step, numbers[which].astype(np.int64))


def _require_size(scene: SceneWindows, rows: int, columns: int) -> None:
    if rows * columns > MOST_PIXELS:
        raise InputError(
            f"the windows of {scene.file} are spread over {columns:,} × {rows:,} pixels of a map, "
            f"more than {MOST_PIXELS:,}",
            hint="index a part of the scene, or with a larger --stride",
        )


def _painted(
    scene: SceneWindows, similarities: NDArray[np.float32], transform: Transform, crs: str | None
) -> SimilarityMap:
    """A map of windows that lie on no grid."""
    low, high = scene.edges[:, :2].min(axis=0), scene.edges[:, 2:].max(axis=0)
    cell = max(1, int((scene.edges[:, 2:] - scene.edges[:, :2]).min()) // _CELLS_A_WINDOW)
    columns, rows = (-(-(high - low) // cell)).tolist()
    _require_size(scene, rows, columns)
    values = np.full((rows, columns), np.nan, np.float32)
    # The first and the last pixel whose centres lie within.
    spans = np.ceil((scene.edges - np.tile(low, 2)) / cell - 0.5).astype(int).tolist()
    for (left, top, right, bottom), similarity in zip(spans, similarities):
        part = values[top:bottom, left:right]
        np.fmax(part, similarity, out=part)
    placed = transform.on_grid((float(low[0]), float(low[1])), (cell, cell))
    return SimilarityMap(scene, values, placed, crs, (cell, cell), False)


def _georeference(store: IndexStore, scene: SceneWindows) -> tuple[Transform, str | None]:
    """The transform of a scene, and its reference system; pixels if it has no georeference."""
    table = taken_rows(store.rows, scene.rows, ("crs", "bounds")).columns
    placed = np.flatnonzero(table.column("crs").is_valid().to_numpy())
    if not len(placed):
        return _IN_PIXELS, None
    known = table.take(pyarrow.array(placed))
    names = known.column("crs").unique().to_pylist()
    bounds = np.array(known.column("bounds").to_pylist(), np.float64)
    first = store.rows[int(scene.rows[placed[0]])].place
    transform = None
    if len(names) == 1 and first is not None:
        footprint, name = first.footprint, require_plain_system(names[0])
        transform = fitted_transform(
            scene.edges[placed], bounds, lambda: corners_of(footprint, name)
        )
    if transform is None:
        raise InputError(
            f"the places of the windows of {scene.file} do not lie on one grid",
            hint="a similarity map needs places that follow from one scene; index the scene itself "
            "with --window",
        )
    return transform, str(names[0])
