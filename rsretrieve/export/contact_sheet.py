"""Contact sheets: queries and their hits in one picture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from rsretrieve._core.atomic_write import written_aside
from rsretrieve._core.paths import Location
from rsretrieve._core.text import shortened
from rsretrieve.data.reading.chunk_reader import Read
from rsretrieve.data.reading.preview import Previewed, reduced
from rsretrieve.data.reading.read_tiles import read_in_order
from rsretrieve.data.tile import Tile, TileSet, Trust
from rsretrieve.search.search import QueryResult

THUMBNAIL_PX = 128
_GAP_PX = 10
_LINE_PX = 15
_TEXT_PX = 12
_BACKGROUND, _INK, _FAINT = (255, 255, 255), (25, 25, 25), (110, 110, 110)
_SAME, _OTHER = (24, 128, 56), (190, 60, 30)


def write_query_sheet(
    path: Path,
    results: Sequence[QueryResult],
    bands: tuple[int, ...],
    *,
    overwrite: bool,
    trusted: bool = False,
) -> None:
    """Draw one row per query: the query, then its hits with rank, similarity and label.

    If the query has a label, the label of a hit is green if it is the same, and red otherwise.

    Args:
        path: the PNG file.
        results: the queries and their hits.
        bands: bands shown as red, green and blue, counted from 1.
        overwrite: replace an existing file.
        trusted: also open the files that the tiles' files refer to.
    """
    columns = 1 + max(len(result.hits) for result in results)
    cell, row = THUMBNAIL_PX + _GAP_PX, THUMBNAIL_PX + 2 * _LINE_PX + 2 * _GAP_PX
    shape = (columns * cell + 2 * _GAP_PX, len(results) * row + _GAP_PX)
    tiles = [tile for r in results for tile in (r.picture, *(hit.found.tile for hit in r.hits))]
    sheet = _Sheet(Image.new("RGB", shape, _BACKGROUND), _pictures(tiles, bands, trusted))
    for number, result in enumerate(results):
        top = _GAP_PX + number * row
        shown = result.picture
        name = shown.label or _file_name(shown.path) if shown else Path(result.query).name
        sheet.draw_tile(shown, _GAP_PX, top, ("query", name), _INK)
        for column, hit in enumerate(result.hits, start=1):
            label = hit.found.label or _file_name(hit.found.path)
            lines = (f"{hit.rank}.  {hit.similarity:.3f}", label)
            colour = _label_colour(shown.label if shown else None, hit.found.label)
            sheet.draw_tile(hit.found.tile, 2 * _GAP_PX + column * cell, top, lines, colour)
    with written_aside(path, overwrite=overwrite) as aside:
        sheet.picture.save(aside, format="PNG")


def _file_name(path: str) -> str:
    """The name of a tile's file; of bands in several files, that of the first."""
    return Path(Location.parse(path).files[0]).name


def _label_colour(wanted: str | None, found: str | None) -> tuple[int, int, int]:
    if wanted is None or found is None:
        return _INK
    return _SAME if wanted == found else _OTHER


def _pictures(
    tiles: Iterable[Tile | None], bands: tuple[int, ...], trusted: bool
) -> dict[tuple[str, str], Image.Image]:
    """(id, path) → picture; tiles that cannot be read are left out."""
    wanted = {(tile.id, tile.path): tile for tile in tiles if tile is not None}
    numbered = enumerate(wanted.values())  # tiles of two folders may have the same id
    small = [replace(reduced(tile, 2 * THUMBNAIL_PX), id=str(n)) for n, tile in numbered]
    if trusted:
        small = [replace(tile, trust=Trust.TRUSTED) for tile in small]
    reads = read_in_order(TileSet("the sheet", tuple(small)), Previewed(THUMBNAIL_PX, bands))
    return {
        name: Image.fromarray(read.content)
        for name, read in zip(wanted, reads)
        if isinstance(read, Read)
    }


class _Sheet:
    """A picture that tiles are drawn on.

    Args:
        picture: the picture.
        tiles: (id, path) → picture of a tile.
    """

    def __init__(self, picture: Image.Image, tiles: Mapping[tuple[str, str], Image.Image]) -> None:
        self.picture = picture
        self._tiles = tiles
        self._draw = ImageDraw.Draw(picture)
        self._font = ImageFont.load_default(_TEXT_PX)

    def draw_tile(
        self,
        tile: Tile | None,
        left: int,
        top: int,
        lines: tuple[str, str],
        colour: tuple[int, int, int],
    ) -> None:
        """Draw a thumbnail, or a frame if there is none, and two lines of text below it."""
        shown = None if tile is None else self._tiles.get((tile.id, tile.path))
        if shown is not None:
            self.picture.paste(shown, (left, top))
        else:
            self._draw_frame(left, top, "a vector" if tile is None else "not readable now")
        below = top + THUMBNAIL_PX + 3
        self._draw.text((left, below), lines[0], _FAINT, self._font)
        label = shortened(lines[1], THUMBNAIL_PX, self._font.getlength)
        self._draw.text((left, below + _LINE_PX), label, colour, self._font)

    def _draw_frame(self, left: int, top: int, text: str) -> None:
        box = (left, top, left + THUMBNAIL_PX - 1, top + THUMBNAIL_PX - 1)
        self._draw.rectangle(box, outline=_FAINT)
        self._draw.text((left + 8, top + 56), text, _FAINT, self._font)
