"""The pictures of a page as data URIs; each tile is read once."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable

from PIL import Image

from rsretrieve.data.reading.chunk_reader import Read
from rsretrieve.data.reading.preview import Previewed, reduced
from rsretrieve.data.reading.read_tiles import read_in_order
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile, TileSet

LARGE_PX, SMALL_PX = 224, 96


class Thumbnails:
    """The pictures of a page, each stored once.

    Attributes:
        pictures: data URIs; cards refer to them by position.
    """

    def __init__(self) -> None:
        self.pictures: list[str] = []
        self._position: dict[tuple[str, int], int] = {}
        self._reasons: dict[str, str] = {}

    def read(
        self,
        wanted: Iterable[tuple[Tile, int]],
        bands: tuple[int, ...],
        context: RunContext,
    ) -> None:
        """Read tiles and store a picture of each in every requested size.

        Args:
            wanted: tiles with the size of their picture in px; a tile may occur several times.
            bands: bands shown as red, green and blue, counted from 1; empty for the first three.
            context: receives progress.
        """
        sizes: dict[Tile, set[int]] = {}
        for tile, size in wanted:
            sizes.setdefault(tile, set()).add(size)
        context.start_stage("reading pictures for the page", len(sizes))
        by_id = {tile.id: tile for tile in sizes}
        tiles = TileSet("the page", tuple(reduced(t, 2 * LARGE_PX) for t in by_id.values()))
        for read in read_in_order(tiles, Previewed(LARGE_PX, bands, enlarged=False)):
            if isinstance(read, Read):
                self._keep(read.tile, Image.fromarray(read.content), sizes[by_id[read.tile.id]])
            else:
                self._reasons[read.tile.id] = read.reason
            context.advance(1)

    def position(self, tile: Tile, size_px: int) -> int:
        """Position of a tile's picture in `pictures`; −1 if the tile could not be read."""
        return self._position.get((tile.id, size_px), -1)

    def reason(self, tile: Tile) -> str:
        """Why a tile could not be read; empty if it could."""
        return self._reasons.get(tile.id, "")

    def _keep(self, tile: Tile, picture: Image.Image, sizes: set[int]) -> None:
        for size in sorted(sizes):
            small = picture.copy()
            small.thumbnail((size, size), Image.Resampling.LANCZOS)
            self._position[tile.id, size] = len(self.pictures)
            self.pictures.append(data_uri(small))


def data_uri(picture: Image.Image) -> str:
    """A picture as a data URI in WebP, which is half as large as JPEG of this quality."""
    content = io.BytesIO()
    picture.save(content, format="WEBP", quality=72, method=2)
    return "data:image/webp;base64," + base64.b64encode(content.getvalue()).decode("ascii")
