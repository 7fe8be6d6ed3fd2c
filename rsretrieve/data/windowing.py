"""How scenes are cut into windows: the user's choices, and the windows of a scene."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import ceil
from typing import TYPE_CHECKING, Any

from rsretrieve.data.window import MAX_PIXELS, MIN_SIDE_PX, Window
from rsretrieve.enums import Edges
from rsretrieve.errors import InvalidArgument

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DEFAULT_MAX_NODATA = 0.5
MAX_WINDOWS = 50_000_000
CHUNK_PX = 1024
"""Windows are listed in chunks of whole blocks with about this side: the blocks of a few chunks
fit into GDAL's cache, however wide the scene is."""


@dataclass(frozen=True)
class WindowChoices:
    """How a scene is cut.

    Attributes:
        window_px: the side of a window.
        stride_px: the distance from one window to the next; None: a window's side. A side that is
            given becomes None, so that one cut has one spelling.
        resolution_m: the pixel size of windows in metres on the ground; None: the scene's own.
            Window and stride are counted in these pixels.
        edges: what happens to windows that reach beyond the edge of the scene.
        max_nodata: windows with a larger share of nodata (0…1) are skipped.
    """

    window_px: int
    stride_px: int | None = None
    resolution_m: float | None = None
    edges: Edges = Edges.DROP
    max_nodata: float = DEFAULT_MAX_NODATA

    def __post_init__(self) -> None:
        if self.window_px < MIN_SIDE_PX or self.window_px**2 > MAX_PIXELS:
            raise InvalidArgument(
                f"a window's side must be in {MIN_SIDE_PX}…{int(MAX_PIXELS**0.5)} px, "
                f"not {self.window_px}"
            )
        if self.stride_px is not None and self.stride_px < 1:
            raise InvalidArgument(f"a stride must be at least 1 px, not {self.stride_px}")
        if self.stride_px == self.window_px:
            object.__setattr__(self, "stride_px", None)
        if self.resolution_m is not None and not 0 < self.resolution_m < float("inf"):
            raise InvalidArgument(f"a resolution must be positive, not {self.resolution_m} m")
        if not 0 <= self.max_nodata <= 1:
            raise InvalidArgument(f"a share of nodata must be in 0…1, not {self.max_nodata}")

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> WindowChoices | None:
        """Choices from their fields, by name; None for an empty mapping.

        Raises:
            TypeError, ValueError: the fields are invalid.
        """
        if not content:
            return None
        return cls(**{**content, "edges": Edges(content["edges"])})

    def __str__(self) -> str:
        """The choices as command-line options."""
        typed = {
            "--window": self.window_px,
            "--stride": self.stride_px,
            "--resolution": self.resolution_m,
            "--edges": self.edges,
            "--max-nodata": self.max_nodata,
        }
        return " ".join(f"{name} {value}" for name, value in typed.items() if value is not None)

    def as_coarse(self, window: Window) -> Window:
        """The window, to be read no finer than the chosen resolution."""
        finer = self.resolution_m is not None and max(window.shape_px) > self.window_px
        return replace(window, read_px=self.window_px) if finer else window

    def may_keep(self, window: Window, cut_by: WindowChoices) -> bool:
        """Whether a window that other choices cut may be one of these choices, too."""
        grids = [(each.window_px, each.stride_px, each.resolution_m) for each in (self, cut_by)]
        if grids[0] == grids[1]:
            return True
        # With a resolution, size and position depend on the pixels of a scene that is not read.
        return self.resolution_m is None and self.may_have_cut(window)

    def may_have_cut(self, window: Window) -> bool:
        """Whether these choices may have made a window, judged by its size and position."""
        if window.read_px not in (None, self.window_px):
            return False
        if self.resolution_m is not None:  # size and position depend on the scene's pixels
            return True
        step = self.stride_px or self.window_px
        square = window.width == window.height == self.window_px
        return square and window.col % step == window.row % step == 0

    def skips(self, nodata_share: float) -> bool:
        """Whether a window with this share of nodata (0…1) is skipped."""
        return nodata_share > self.max_nodata or nodata_share == 1

    def count_along(self, length_px: int, scale: float) -> int:
        """The number of windows of `along`, unlisted; approximate if `scale` is not 1."""
        size, step = max(1, round(self.window_px * scale)), self.stride_px or self.window_px
        apart = max(1.0, step * scale)
        count = int((length_px - size) // apart) + 1 if length_px >= size else 0
        over = self.edges is Edges.PAD and (count == 0 or (count - 1) * apart + size < length_px)
        return count + over

    def along(self, length_px: int, scale: float) -> list[tuple[int, int]]:
        """The windows along one axis of a scene.

        Args:
            length_px: the length of the axis, in the scene's pixels.
            scale: the size of a window's pixel, in the scene's pixels.

        Returns:
            (start, size) of every window along it, in the scene's pixels. Each
            start is rounded by itself, so that errors do not accumulate.
        """
        size, step = max(1, round(self.window_px * scale)), self.stride_px or self.window_px
        cut: list[tuple[int, int]] = []
        start = 0
        while start + size <= length_px:
            cut.append((start, size))
            start = max(round(len(cut) * step * scale), start + 1)
        covered = sum(cut[-1]) if cut else 0
        # One window beyond the edge covers the rest, however small the stride is.
        if self.edges is Edges.PAD and max(start, covered) < length_px:
            cut.append((start, size))
        return cut


ANY_WINDOWS = WindowChoices(MIN_SIDE_PX)
"""For windows that were not cut by choices: only the limit of nodata counts."""


@dataclass(frozen=True)
class SceneChoices:
    """The user's choices for scenes.

    Attributes:
        windows: how scenes are cut; None: every image is one tile.
        assets: the assets of STAC items whose bands form a scene; empty: an item's only raster.
        max_windows: a scene with more windows is refused.
        trusted: files that the tiles' files name are opened, too.
        stack: the bands of scenes whose bands lie in files of their own; `all` for all; empty:
            every file is a tile or a scene.
    """

    windows: WindowChoices | None = None
    assets: tuple[str, ...] = ()
    max_windows: int = MAX_WINDOWS
    trusted: bool = False
    stack: tuple[str, ...] = ()


@dataclass(frozen=True)
class SceneFacts:
    """The properties of a scene that are needed to cut it.

    Attributes:
        width, height: in pixels.
        block_px: width and height of its storage blocks.
        pixel_m: width and height of a pixel on the ground in metres, at the scene's centre;
            None if unknown.
        stored: (rows, columns) which blocks the file stores; the others are nodata. None: all.
        pixel_varies: elsewhere in the scene pixels are larger or smaller by a tenth or more.
    """

    width: int
    height: int
    block_px: tuple[int, int]
    pixel_m: tuple[float, float] | None
    stored: NDArray[np.bool_] | None = None
    pixel_varies: bool = False


def count_windows(scene: SceneFacts, choices: WindowChoices) -> int:
    """The number of a scene's windows, without listing them; roughly if a resolution is chosen.

    Raises:
        InvalidArgument: a resolution was chosen, and the scene's pixel size is unknown.
    """
    scale_x, scale_y = _scales(scene, choices)
    return choices.count_along(scene.width, scale_x) * choices.count_along(scene.height, scale_y)


def windows_of(scene: SceneFacts, choices: WindowChoices) -> Iterator[Window]:
    """The windows of a scene in the order of its blocks, so that each block is decoded once.

    Raises:
        InvalidArgument: a resolution was chosen, and the scene's pixel size is unknown.
    """
    scale_x, scale_y = _scales(scene, choices)
    columns = choices.along(scene.width, scale_x)
    rows = choices.along(scene.height, scale_y)
    is_there = _stored_among(scene)
    for band_of_rows in _chunked(rows, scene.block_px[1], scale_y):
        if not any(map(any, is_there(band_of_rows, [(0, scene.width)]))):
            continue
        for band_of_columns in _chunked(columns, scene.block_px[0], scale_x):
            for (row, height), among in zip(band_of_rows, is_there(band_of_rows, band_of_columns)):
                for (col, width), there in zip(band_of_columns, among):
                    if there:
                        yield choices.as_coarse(Window(col, row, width, height))


_Cut = list[tuple[int, int]]


def _stored_among(scene: SceneFacts) -> Callable[[_Cut, _Cut], Iterable[Iterable[bool]]]:
    """A function that tells which windows of some rows and columns hold stored blocks."""
    if scene.stored is None:
        return lambda rows, columns: [[True] * len(columns)] * len(rows)
    from rsretrieve.data.stored_blocks import StoredBlocks  # imports NumPy: not for --help

    return StoredBlocks(scene.stored, scene.block_px).among


def _scales(scene: SceneFacts, choices: WindowChoices) -> tuple[float, float]:
    if choices.resolution_m is None:
        return 1.0, 1.0
    if scene.pixel_m is None:
        raise InvalidArgument("has no georeference, which --resolution needs")
    return choices.resolution_m / scene.pixel_m[0], choices.resolution_m / scene.pixel_m[1]


def _chunked(
    cut: list[tuple[int, int]], block_px: int, scale: float
) -> Iterator[list[tuple[int, int]]]:
    """Group the windows along an axis by the chunk that they start in."""
    chunk_px = block_px * ceil(max(CHUNK_PX * max(scale, 1.0), 1) / block_px)
    chunks: dict[int, list[tuple[int, int]]] = {}
    for start, size in cut:
        chunks.setdefault(start // chunk_px, []).append((start, size))
    yield from chunks.values()
