"""Contact sheets: queries and their hits in one picture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from rsretrieve._core.atomic_write import written_aside
from rsretrieve._core.paths import Location
from rsretrieve._core.text import shortened_in_middle
from rsretrieve.data.geo.place import Place
from rsretrieve.data.reading.chunk_reader import Read
from rsretrieve.data.reading.preview import PREVIEW, Previewed, reduced
from rsretrieve.data.reading.read_tiles import read_in_order
from rsretrieve.data.tile import Tile, TileSet, Trust
from rsretrieve.search.search import QueryResult

THUMBNAIL_PX = 128
_GAP_PX = 10
_LINE_PX = 15
_FRAME_PX = 3
_TEXT_PX = 12
_LINES = 4
_CELL_PX = THUMBNAIL_PX + _GAP_PX
_ROW_PX = THUMBNAIL_PX + _LINES * _LINE_PX + 2 * _GAP_PX
_HITS_A_ROW = 6
_BACKGROUND, _INK, _FAINT = (255, 255, 255), (25, 25, 25), (110, 110, 110)
_SAME, _OTHER = (24, 128, 56), (190, 60, 30)


@dataclass(frozen=True)
class _Cell:
    """A tile of the sheet.

    Attributes:
        tile: the tile; None for a vector.
        title: the first line below it.
        label: its label; empty if it has none.
        name: the name of its file.
        window: its window as in its id, if the file is a scene; else empty.
        place: its place, or None.
        differs: its label is not that of the query; None if one of both has no label.
    """

    tile: Tile | None
    title: str
    label: str
    name: str
    window: str
    place: Place | None
    differs: bool | None = None

    @property
    def colour(self) -> tuple[int, int, int]:
        """The colour of the label, and of the frame."""
        if self.differs is None:
            return _INK
        return _OTHER if self.differs else _SAME


def write_query_sheet(
    path: Path,
    results: Sequence[QueryResult],
    bands: tuple[int, ...],
    *,
    overwrite: bool,
    trusted: bool = False,
) -> None:
    """Draw each query, then its hits with rank, similarity, label, file and position, six in a row.

    If the query has a label, the label of a hit is green if it is the same; otherwise it is red,
    and the hit has a red frame. A line at the end says so.

    Args:
        path: the PNG file.
        results: the queries and their hits.
        bands: bands shown as red, green and blue, counted from 1.
        overwrite: replace an existing file.
        trusted: also open the files that the tiles' files refer to.
    """
    cells = [tuple(_cells(result)) for result in results]
    rows = [max(1, -(-len(result.hits) // _HITS_A_ROW)) for result in results]
    columns = 1 + min(_HITS_A_ROW, max(len(result.hits) for result in results))
    compares = any(each.differs is not None for row in cells for each in row)
    height = sum(rows) * _ROW_PX + _GAP_PX + compares * _LINE_PX
    shape = (columns * _CELL_PX + 2 * _GAP_PX, height)
    tiles = [tile for r in results for tile in (r.picture, *(hit.found.tile for hit in r.hits))]
    sheet = _Sheet(Image.new("RGB", shape, _BACKGROUND), _pictures(tiles, bands, trusted))
    top = _GAP_PX
    for (query, *hits), height in zip(cells, rows):
        sheet.draw(query, _GAP_PX, top)
        for number, hit in enumerate(hits):
            down, across = divmod(number, _HITS_A_ROW)
            sheet.draw(hit, (1 + across) * _CELL_PX + 2 * _GAP_PX, top + down * _ROW_PX)
        top += height * _ROW_PX
    if compares:
        sheet.explain_colours(top)
    with written_aside(path, overwrite=overwrite) as aside:
        sheet.picture.save(aside, format="PNG")


@dataclass(frozen=True)
class ShownTile:
    """A tile of a sheet without a query: a title, the tile, and its place or None."""

    title: str
    tile: Tile
    place: Place | None


def write_tiles_sheet(
    path: Path,
    shown: Sequence[ShownTile],
    bands: tuple[int, ...],
    columns: int,
    *,
    overwrite: bool,
    trusted: bool = False,
) -> None:
    """Draw tiles row by row, each with its title, its label or name, and its position.

    Args:
        path: the PNG file.
        shown: the tiles.
        bands: bands shown as red, green and blue, counted from 1.
        columns: tiles in a row.
        overwrite: replace an existing file.
        trusted: also open the files that the tiles' files refer to.
    """
    rows = -(-len(shown) // columns)
    shape = (columns * _CELL_PX + _GAP_PX, max(rows, 1) * _ROW_PX + _GAP_PX)
    pictures = _pictures([each.tile for each in shown], bands, trusted)
    sheet = _Sheet(Image.new("RGB", shape, _BACKGROUND), pictures)
    for number, each in enumerate(shown):
        down, across = divmod(number, columns)
        drawn = _Cell(each.tile, each.title, *_names_of(each.tile), each.place)
        sheet.draw(drawn, _GAP_PX + across * _CELL_PX, _GAP_PX + down * _ROW_PX)
    with written_aside(path, overwrite=overwrite) as aside:
        sheet.picture.save(aside, format="PNG")


def _cells(result: QueryResult) -> Iterator[_Cell]:
    """The query and its hits."""
    shown = result.picture
    wanted = shown.label if shown else None
    names = ("", Path(result.query).name, "") if shown is None else _names_of(shown)
    title = "query, expanded" if result.expanded else "query"
    yield _Cell(shown, title, *names, result.place)
    for hit in result.hits:
        tile, label = hit.found.tile, hit.found.label
        differs = None if wanted is None or label is None else label != wanted
        title = f"{hit.rank}.  {hit.similarity:.3f}"
        yield _Cell(tile, title, *_names_of(tile), hit.found.place, differs)


def _names_of(tile: Tile) -> tuple[str, str, str]:
    """The label of a tile, the name of its file (of several files, the first), and its window."""
    name = Path(Location.parse(tile.path).files[0]).name or tile.id
    return tile.label or "", name, "" if tile.window is None else str(tile.window)


def position_text(place: Place | None) -> str:
    """The centre of a place in degrees, for people; empty if it is not known.

    >>> position_text(None)
    ''
    """
    if place is None:
        return ""
    lon, lat = place.centre
    north, east = "S" if lat < 0 else "N", "W" if lon < 0 else "E"
    return f"{abs(lat):.4f}°{north} {abs(lon):.4f}°{east}"


def _pictures(
    tiles: Iterable[Tile | None], bands: tuple[int, ...], trusted: bool
) -> dict[tuple[str, str], Image.Image]:
    """(id, path) → picture; tiles that cannot be read are left out."""
    wanted = {(tile.id, tile.path): tile for tile in tiles if tile is not None}
    numbered = enumerate(wanted.values())  # tiles of two folders may have the same id
    small = [replace(reduced(tile, 2 * THUMBNAIL_PX), id=str(n)) for n, tile in numbered]
    if trusted:
        small = [replace(tile, trust=Trust.TRUSTED) for tile in small]
    shown = TileSet("the sheet", tuple(small))
    reads = read_in_order(shown, Previewed(THUMBNAIL_PX, bands), fits=PREVIEW)
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

    def draw(self, cell: _Cell, left: int, top: int) -> None:
        """Draw a thumbnail, or an outline if there is none, and up to four lines of text below."""
        tile = cell.tile
        shown = None if tile is None else self._tiles.get((tile.id, tile.path))
        if cell.differs:
            low, high = _FRAME_PX + 1, THUMBNAIL_PX + _FRAME_PX
            box = (left - low, top - low, left + high, top + high)
            self._draw.rectangle(box, outline=cell.colour, width=_FRAME_PX)
        if shown is not None:
            self.picture.paste(shown, (left, top))
        else:
            self._outline(left, top, "a vector" if tile is None else "not readable now")
        length = self._font.getlength
        room = max(THUMBNAIL_PX - length(cell.window), 0)
        name = shortened_in_middle(cell.name, room, length) + cell.window
        names = ((cell.label, cell.colour), (name, _FAINT)) if cell.label else ((name, _INK),)
        lines = ((cell.title, _FAINT), *names, (position_text(cell.place), _FAINT))
        for number, (text, colour) in enumerate(lines):
            line = shortened_in_middle(text, THUMBNAIL_PX, length)
            below = top + THUMBNAIL_PX + _FRAME_PX + 2 + number * _LINE_PX
            self._draw.text((left, below), line, colour, self._font)

    def explain_colours(self, top: int) -> None:
        """Draw the line that says what the colours of labels mean."""
        left = float(_GAP_PX)
        for text, colour in (("green: the query's label", _SAME), ("red: another label", _OTHER)):
            self._draw.text((left, top), text, colour, self._font)
            left += self._font.getlength(text) + 2 * _GAP_PX

    def _outline(self, left: int, top: int, text: str) -> None:
        box = (left, top, left + THUMBNAIL_PX - 1, top + THUMBNAIL_PX - 1)
        self._draw.rectangle(box, outline=_FAINT)
        self._draw.text((left + 8, top + 56), text, _FAINT, self._font)
