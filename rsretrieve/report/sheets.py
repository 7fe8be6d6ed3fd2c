"""Contact sheets: a query and its hits, in one picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from rsretrieve.errors import TileError
from rsretrieve.retrieval.search import QueryResult
from rsretrieve.storage import written_aside
from rsretrieve.text import shortened
from rsretrieve.tiles.previews import read_preview
from rsretrieve.tiles.records import Tile

THUMBNAIL_PX = 128
_GAP_PX = 10
_LINE_PX = 15
_TEXT_PX = 12
_BACKGROUND, _INK, _FAINT = (255, 255, 255), (25, 25, 25), (110, 110, 110)
_SAME, _OTHER = (24, 128, 56), (190, 60, 30)


def write_query_sheet(
    path: Path, results: Sequence[QueryResult], bands: tuple[int, ...], *, overwrite: bool
) -> None:
    """Draw a row a query: the query, then its hits with rank, similarity and label.

    Where the query has a label, a hit's label is green when it is the same, else red.

    Args:
        path: the PNG to write.
        results: the queries and their hits.
        bands: those shown as red, green and blue, counted from 1.
        overwrite: replace a file that is there.
    """
    columns = 1 + max(len(result.hits) for result in results)
    cell, row = THUMBNAIL_PX + _GAP_PX, THUMBNAIL_PX + 2 * _LINE_PX + 2 * _GAP_PX
    shape = (columns * cell + 2 * _GAP_PX, len(results) * row + _GAP_PX)
    sheet = _Sheet(Image.new("RGB", shape, _BACKGROUND), bands)
    for number, result in enumerate(results):
        top = _GAP_PX + number * row
        shown = result.picture
        name = shown.label or Path(shown.path).name if shown else Path(result.query).name
        sheet.draw_tile(shown, _GAP_PX, top, ("query", name), _INK)
        for column, hit in enumerate(result.hits, start=1):
            label = hit.found.label or Path(hit.found.path).name
            lines = (f"{hit.rank}.  {hit.similarity:.3f}", label)
            colour = _label_colour(shown.label if shown else None, hit.found.label)
            sheet.draw_tile(hit.found.tile, 2 * _GAP_PX + column * cell, top, lines, colour)
    with written_aside(path, overwrite=overwrite) as aside:
        sheet.picture.save(aside, format="PNG")


def _label_colour(wanted: str | None, found: str | None) -> tuple[int, int, int]:
    if wanted is None or found is None:
        return _INK
    return _SAME if wanted == found else _OTHER


class _Sheet:
    """A picture that tiles are drawn on."""

    def __init__(self, picture: Image.Image, bands: tuple[int, ...]) -> None:
        self.picture = picture
        self._bands = bands
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
        """Draw a thumbnail, or a frame where there is none, and two lines of text under it."""
        try:
            if tile is None:
                self._draw_frame(left, top, "a vector")
            else:
                self.picture.paste(read_preview(tile, THUMBNAIL_PX, self._bands), (left, top))
        except TileError:
            self._draw_frame(left, top, "not readable now")
        below = top + THUMBNAIL_PX + 3
        self._draw.text((left, below), lines[0], _FAINT, self._font)
        label = shortened(lines[1], THUMBNAIL_PX, self._font.getlength)
        self._draw.text((left, below + _LINE_PX), label, colour, self._font)

    def _draw_frame(self, left: int, top: int, text: str) -> None:
        box = (left, top, left + THUMBNAIL_PX - 1, top + THUMBNAIL_PX - 1)
        self._draw.rectangle(box, outline=_FAINT)
        self._draw.text((left + 8, top + 56), text, _FAINT, self._font)
