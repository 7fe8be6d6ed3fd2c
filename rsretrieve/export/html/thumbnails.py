"""The pictures of a page as data URIs; each tile is read once for each use."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence

from PIL import Image

from rsretrieve.data.reading.chunk_reader import Read
from rsretrieve.data.reading.preview import PREVIEW, Previewed, reduced
from rsretrieve.data.reading.read_tiles import read_in_order
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.export.html.page_limits import (
    CONTEXT_PX,
    PICTURES_LIMIT_BYTES,
    SMALL_PX,
    large_px,
)

CONTEXT = "context"
Sizes = Mapping[Tile, set[int]]


class Thumbnails:
    """The pictures of a page, each stored once, in at most so many bytes.

    Args:
        limit_bytes: the size of all data URIs together; further pictures are left out.

    Attributes:
        pictures: data URIs; cards refer to them by position.
        left_out: number of pictures that the limit left out.
    """

    def __init__(self, limit_bytes: int = PICTURES_LIMIT_BYTES) -> None:
        self.pictures: list[str] = []
        self.left_out = 0
        self._free = limit_bytes
        self._position: dict[tuple[str, str, int], int] = {}
        self._reasons: dict[tuple[str, str], str] = {}

    def read(
        self, parts: Sequence[tuple[str, Sizes]], bands: tuple[int, ...], context: RunContext
    ) -> None:
        """Read tiles and store a picture of each in every requested size.

        Args:
            parts: what to read, one after the other: the use of the pictures, and the tiles with
                the sizes of their pictures in px. One tile can have several uses.
            bands: bands shown as red, green and blue, counted from 1; empty for the first three.
            context: receives progress, and a notice if the limit left pictures out.
        """
        context.start_stage("reading pictures for the page", sum(len(part) for _, part in parts))
        for use, sizes in parts:
            self.read_part(use, sizes, bands, context)
        if self.left_out:
            context.notice(
                f"{self.left_out} pictures are left out of the page, so that it stays small enough "
                "to open; give fewer --page-tiles to see all"
            )

    def read_part(
        self, use: str, sizes: Sizes, bands: tuple[int, ...], context: RunContext
    ) -> None:
        """As `read`, of a single use."""
        if not sizes:
            return
        by_id: dict[str, set[int]] = {}
        for tile, wanted in sizes.items():
            by_id.setdefault(tile.id, set()).update(wanted)
        largest = max(size for wanted in by_id.values() for size in wanted)
        distinct = {tile.id: reduced(tile, 2 * largest) for tile in sizes}
        tiles = TileSet("the page", tuple(distinct.values()))
        shape = Previewed(largest, bands, enlarged=False)
        for read in read_in_order(tiles, shape, fits=PREVIEW):
            if isinstance(read, Read):
                picture = Image.fromarray(read.content)
                self._keep((use, read.tile.id), picture, by_id[read.tile.id])
            else:
                self._reasons[use, read.tile.id] = read.reason
            context.advance(1)

    def position(self, tile: Tile, size_px: int, use: str = "") -> int:
        """Position of a tile's picture in `pictures`; −1 if there is none."""
        return self._position.get((use, tile.id, size_px), -1)

    def of_card(self, tile: Tile, number: int) -> int:
        """Position of the picture on the card of that number; −1 if there is none."""
        return self.position(tile, large_px(number))

    def enlarged(self, _: Tile) -> int:
        """−1: the picture of the card is enlarged."""
        return -1

    def compared(self, tile: Tile) -> int:
        """Position of the small picture of a tile; −1 if there is none."""
        return self.position(tile, SMALL_PX)

    def around(self, _: Tile, wider: Tile) -> int:
        """Position of the picture of a window's surroundings; −1 if there is none."""
        return self.position(wider, CONTEXT_PX, CONTEXT)

    def reason(self, tile: Tile) -> str:
        """Why a tile has no picture; empty if it has one."""
        return self._reasons.get(("", tile.id), "")

    def _keep(self, name: tuple[str, str], picture: Image.Image, sizes: set[int]) -> None:
        for size in sorted(sizes):
            if (*name, size) in self._position:
                continue
            small = picture.copy()
            small.thumbnail((size, size), Image.Resampling.LANCZOS)
            self.add(name, size, data_uri(small))

    def add(self, name: tuple[str, str], size_px: int, uri: str) -> None:
        """Store a picture, unless the limit is reached.

        Args:
            name: the use of the picture, and the id of the tile.
            size_px: its size, as requested.
            uri: the picture.
        """
        if len(uri) > self._free:
            self._free = 0  # no smaller picture follows: the worst labels come first
            self.left_out += 1
            self._reasons.setdefault(name, "left out: the page is full")
            return
        self._free -= len(uri)
        self._position[*name, size_px] = len(self.pictures)
        self.pictures.append(uri)


def data_uri(picture: Image.Image) -> str:
    """A picture as a data URI in WebP, which is half as large as JPEG of this quality."""
    content = io.BytesIO()
    picture.save(content, format="WEBP", quality=72, method=2)
    return "data:image/webp;base64," + base64.b64encode(content.getvalue()).decode("ascii")
