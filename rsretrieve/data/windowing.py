"""How scenes are cut into windows: one record, from the command line to the reader."""

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
"""Windows are listed chunk by chunk, of whole blocks and about this side: the blocks of a few
chunks fit into GDAL's cache however wide the scene is."""


@dataclass(frozen=True)
class WindowChoices:
    """How a scene is cut.

    Attributes:
        window_px: the side of a window.
        stride_px: from one window to the next; None: a window's side.
        resolution_m: how many metres a pixel of a window spans; None: as the scene has it.
            Window and stride are counted in such pixels.
        edges: what becomes of windows that reach over the edge.
        max_nodata: windows with a larger share of nodata, 0…1, are skipped.
    """

    window_px: int
    stride_px: int | None = None
    resolution_m: float | None = None
    edges: Edges = Edges.DROP
    max_nodata: float = DEFAULT_MAX_NODATA

    def __post_init__(self) -> None:
        if self.window_px < MIN_SIDE_PX or self.window_px**2 > MAX_PIXELS:
            raise InvalidArgument(
                f"a window's side lies in {MIN_SIDE_PX}…{int(MAX_PIXELS**0.5)} px, "
                f"not {self.window_px}"
            )
        if self.stride_px is not None and self.stride_px < 1:
            raise InvalidArgument(f"a stride is at least 1 px, not {self.stride_px}")
        if self.resolution_m is not None and not 0 < self.resolution_m < float("inf"):
            raise InvalidArgument(f"a resolution is a positive length, not {self.resolution_m} m")
        if not 0 <= self.max_nodata <= 1:
            raise InvalidArgument(f"a share of nodata lies in 0…1, not {self.max_nodata}")

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> WindowChoices | None:
        """The choices of which these are the fields; None of nothing.

        Raises:
            TypeError, ValueError: these are no such choices.
        """
        if not content:
            return None
        return cls(**{**content, "edges": Edges(content["edges"])})

    def __str__(self) -> str:
        """As a user types them."""
        typed = {
            "--window": self.window_px,
            "--stride": self.stride_px,
            "--resolution": self.resolution_m,
            "--edges": self.edges,
            "--max-nodata": self.max_nodata,
        }
        return " ".join(f"{name} {value}" for name, value in typed.items() if value is not None)

    def as_coarse(self, window: Window) -> Window:
        """A window as it is read where a resolution was chosen: no finer than that."""
        finer = self.resolution_m is not None and max(window.shape_px) > self.window_px
        return replace(window, read_px=self.window_px) if finer else window

    def may_have_cut(self, window: Window) -> bool:
        """Whether a window is like those that these choices give, as far as it shows."""
        if window.read_px not in (None, self.window_px):
            return False
        if self.resolution_m is not None:  # its size and place hang on the scene's pixels
            return True
        step = self.stride_px or self.window_px
        square = window.width == window.height == self.window_px
        return square and window.col % step == window.row % step == 0

    def skips(self, nodata_share: float) -> bool:
        """Whether a window with this share of nodata, 0…1, is passed over."""
        return nodata_share > self.max_nodata or nodata_share == 1

    def count_along(self, length_px: int, scale: float) -> int:
        """How many windows `along` gives, without listing them; about, where `scale` is not 1."""
        size, step = max(1, round(self.window_px * scale)), self.stride_px or self.window_px
        apart = max(1.0, step * scale)
        count = int((length_px - size) // apart) + 1 if length_px >= size else 0
        over = self.edges is Edges.PAD and (count == 0 or (count - 1) * apart + size < length_px)
        return count + over

    def along(self, length_px: int, scale: float) -> list[tuple[int, int]]:
        """Cut one axis of a scene.

        Args:
            length_px: of the axis, in the scene's pixels.
            scale: how many of the scene's pixels a window's pixel spans.

        Returns:
            (start, size) of every window along it, in the scene's pixels. Starts are rounded
            one by one, so that no error adds up along the axis.
        """
        size, step = max(1, round(self.window_px * scale)), self.stride_px or self.window_px
        cut: list[tuple[int, int]] = []
        start = 0
        while start + size <= length_px:
            cut.append((start, size))
            start = max(round(len(cut) * step * scale), start + 1)
        covered = sum(cut[-1]) if cut else 0
        # One window over the edge covers what is left, however small the stride.
        if self.edges is Edges.PAD and max(start, covered) < length_px:
            cut.append((start, size))
        return cut


@dataclass(frozen=True)
class SceneChoices:
    """What a user chose about scenes.

    Attributes:
        windows: how they are cut; None: every image is a tile.
        assets: which assets of STAC items are the scenes; none named: the only one there is.
        max_windows: a scene of more is refused.
        trusted: whatever the tiles' files name is opened, too.
    """

    windows: WindowChoices | None = None
    assets: tuple[str, ...] = ()
    max_windows: int = MAX_WINDOWS
    trusted: bool = False


@dataclass(frozen=True)
class SceneFacts:
    """What must be known of a scene to cut it.

    Attributes:
        width, height: in pixels.
        block_px: width and height of the blocks that it is stored in.
        pixel_m: width and height of a pixel in metres, or None where nothing says it.
        stored: (rows, columns) which of its blocks hold anything but nodata; None: all may.
    """

    width: int
    height: int
    block_px: tuple[int, int]
    pixel_m: tuple[float, float] | None
    stored: NDArray[np.bool_] | None = None


def count_windows(scene: SceneFacts, choices: WindowChoices) -> int:
    """How many windows a scene has, without listing them; about, where a resolution is chosen.

    Raises:
        InvalidArgument: `choices` name a resolution, and the scene has none.
    """
    scale_x, scale_y = _scales(scene, choices)
    return choices.count_along(scene.width, scale_x) * choices.count_along(scene.height, scale_y)


def windows_of(scene: SceneFacts, choices: WindowChoices) -> Iterator[Window]:
    """The windows of a scene in the order of its blocks, so that each is decoded once.

    Raises:
        InvalidArgument: `choices` name a resolution, and the scene has none.
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
    """Tells which windows of some rows and columns have anything in them; not all, if sparse."""
    if scene.stored is None:
        return lambda rows, columns: [[True] * len(columns)] * len(rows)
    from rsretrieve.data.reading.stored_blocks import StoredBlocks  # brings NumPy: not for --help

    return StoredBlocks(scene.stored, scene.block_px).among


def _scales(scene: SceneFacts, choices: WindowChoices) -> tuple[float, float]:
    if choices.resolution_m is None:
        return 1.0, 1.0
    if scene.pixel_m is None:
        raise InvalidArgument("it has no georeference to tell --resolution by")
    return choices.resolution_m / scene.pixel_m[0], choices.resolution_m / scene.pixel_m[1]


def _chunked(
    cut: list[tuple[int, int]], block_px: int, scale: float
) -> Iterator[list[tuple[int, int]]]:
    """Windows along an axis, those that start in the same chunk together."""
    chunk_px = block_px * ceil(max(CHUNK_PX * max(scale, 1.0), 1) / block_px)
    chunks: dict[int, list[tuple[int, int]]] = {}
    for start, size in cut:
        chunks.setdefault(start // chunk_px, []).append((start, size))
    yield from chunks.values()
