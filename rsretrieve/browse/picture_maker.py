"""Make the pictures that the page shows, many at once.

Pictures are read in a confined process that may open the files of these tiles and no others.
Starting one takes half a second, reading a tile some milliseconds. So the pictures that the page
will show next are made together with the one that it asks for.
"""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from time import sleep

from PIL import Image

from rsretrieve.data.reading.chunk_reader import Read
from rsretrieve.data.reading.preview import PREVIEW, Previewed, reduced
from rsretrieve.data.reading.read_tiles import read_in_order
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.errors import InputError, TileError
from rsretrieve.export.html.scene_context import tile_around
from rsretrieve.index.store.tile_table import TileTable

_AT_ONCE = 64
_MOST_AHEAD = 600
_GATHERED_S = 0.03  # a browser sends the requests of a page one by one
_MOST_KEPT = 4_000  # of 3 kB on average


@dataclass(frozen=True)
class Picture:
    """Which picture.

    Attributes:
        row: row of the index.
        side_px: its longer side.
        is_wider: of a window with its surroundings.
    """

    row: int
    side_px: int
    is_wider: bool = False


class PictureMaker:
    """Makes pictures of tiles as WebP, and keeps those that were asked for last.

    Args:
        rows: the tiles.
        bands: bands shown as red, green and blue, counted from 1; empty for the first three.
    """

    def __init__(self, rows: TileTable, bands: tuple[int, ...]) -> None:
        self._rows, self._bands, self._lock = rows, bands, Lock()
        self._made: OrderedDict[Picture, bytes] = OrderedDict()
        self._wanted: dict[Picture, Future[bytes]] = {}
        self._ahead: dict[Picture, None] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pictures")
        self._is_running = self._is_closed = False

    def close(self) -> None:
        """Make no more pictures: the program would only end when all are made."""
        with self._lock:
            self._is_closed = True
            self._ahead.clear()
            for waiting in self._wanted.values():
                waiting.set_exception(InputError("the program ends"))
            self._wanted.clear()

    def get(self, picture: Picture) -> bytes:
        """A picture; waits until it is made.

        Raises:
            InputError: the program ends.
            TileError: the tile cannot be read, or has no surroundings.
        """
        with self._lock:
            if self._is_closed:
                raise InputError("the program ends")
            if (content := self._made.get(picture)) is not None:
                self._made.move_to_end(picture)
                return content
            waiting = self._wanted.setdefault(picture, Future())
            self._start()
        return waiting.result()

    def make_ahead(self, pictures: Iterable[Picture]) -> None:
        """Make pictures that will be asked for; the latest ones come first."""
        with self._lock:
            if self._is_closed:
                return
            wanted = dict.fromkeys(each for each in pictures if each not in self._made)
            first = [*{**wanted, **self._ahead}][:_MOST_AHEAD]
            self._ahead = dict.fromkeys(first)
            self._start()

    def _start(self) -> None:
        if not self._is_running and (self._wanted or self._ahead):
            self._is_running = True
            self._thread.submit(self._run)

    def _run(self) -> None:
        sleep(_GATHERED_S)
        while batch := self._next():
            left = dict.fromkeys(batch)
            try:
                for picture, content in self._read(batch):
                    self._finish(picture, content)
                    left.pop(picture, None)
            except Exception as error:  # nobody may wait for ever
                for picture in left:
                    self._finish(picture, error)

    def _next(self) -> list[Picture]:
        """Pictures of one size: first those that are waited for."""
        with self._lock:
            pictures = [*self._wanted, *self._ahead]
            size = [(each.side_px, each.is_wider) for each in pictures[:1]]
            alike = (each for each in pictures if (each.side_px, each.is_wider) in size)
            batch = [*dict.fromkeys(alike)][:_AT_ONCE]
            for picture in batch:
                self._ahead.pop(picture, None)
            self._is_running = bool(batch)
            return batch

    def _finish(self, picture: Picture, content: bytes | Exception) -> None:
        with self._lock:
            waiting = self._wanted.pop(picture, None)
            if isinstance(content, bytes):
                self._made[picture] = content
                if len(self._made) > _MOST_KEPT:
                    self._made.popitem(last=False)
                if waiting is not None:
                    waiting.set_result(content)
            elif waiting is not None:
                waiting.set_exception(content)

    def _read(self, batch: Sequence[Picture]) -> Iterator[tuple[Picture, bytes | Exception]]:
        side_px = batch[0].side_px
        by_id: dict[str, Picture] = {}
        tiles = []
        for picture in batch:
            tile = self._rows[picture.row].tile
            shown = _wider(tile) if picture.is_wider else tile
            if shown is None:
                yield picture, TileError(tile.id, "it has no surroundings")
                continue
            by_id[tile.id] = picture
            tiles.append(reduced(shown, 2 * side_px))
        shape = Previewed(side_px, self._bands)
        for read in read_in_order(TileSet("the page", tuple(tiles)), shape, 1, fits=PREVIEW):
            picture = by_id[read.tile.id]
            if isinstance(read, Read):
                yield picture, _webp(Image.fromarray(read.content))
            else:
                yield picture, TileError(read.tile.id, read.reason)


def _wider(tile: Tile) -> Tile | None:
    around = tile_around(tile)
    return None if around is None else around[0]


def _webp(picture: Image.Image) -> bytes:
    content = io.BytesIO()
    picture.save(content, format="WEBP", quality=80, method=2)
    return content.getvalue()
