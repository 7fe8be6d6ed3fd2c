"""Read embeddings from a raster with a band a dimension."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow
from numpy.typing import NDArray

from rsretrieve._core.machine.memory import available_bytes
from rsretrieve.data.access import Readable, policy_for
from rsretrieve.data.embedding_rasters.band_vectors import (
    BandFacts,
    VectorsRequest,
    read_band_facts,
    read_band_vectors,
)
from rsretrieve.data.notes import known_notes
from rsretrieve.data.reading.scene_facts import are_places
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile, Trust
from rsretrieve.data.workers.content_forms import ArrayForm
from rsretrieve.data.workers.pool import worker_slots
from rsretrieve.data.workers.worker import WorkerLost, require_reply
from rsretrieve.errors import InvalidArgument, NoUsableTiles, TableError, TileError
from rsretrieve.index.external.choices import EmbeddingChoices
from rsretrieve.index.external.places.place_columns import table_of_places
from rsretrieve.index.external.table_rows import table_of
from rsretrieve.index.store.tile_table import TileTable

if TYPE_CHECKING:
    from rsretrieve.data.geo.place import Place

RASTER_SUFFIXES = (".tif", ".tiff", ".vrt")
CHUNK_VALUES = 1 << 22  # read at once
_MOST_VALUES = 1 << 26  # of one window
_ROW_BYTES = 500  # of memory, for the row of a pixel


def read_raster(
    path: Path, choices: EmbeddingChoices, context: RunContext
) -> tuple[TileTable, NDArray[np.float32]]:
    """Read embeddings from a raster.

    Each pixel is a tile, named `file.tif#col,row,1,1`; or, if windows are chosen, each window is
    one, whose vector is the mean of the unit vectors of its pixels. Pixels that are nodata, not
    finite or zero have no vector.

    Args:
        path: the raster.
        choices: windows and dimensions.
        context: receives notices and progress.

    Returns:
        N tiles, and (N, D) float32.

    Raises:
        TableError: the raster cannot be read, or has a single band.
        InvalidArgument: it has more pixels than fit into memory, or fewer dimensions than wanted.
        NoUsableTiles: no pixel has a vector.
    """
    # A VRT names other files; the user typed its name. Another file must hold its pixels.
    trust = Trust.NAMED if path.suffix.lower() == ".vrt" else Trust.STRANGER
    tile = Tile(path.name, str(path), trust=trust)
    try:
        with worker_slots(1) as (slot,):
            policy = policy_for(tile, Readable.of([tile]))
            raster = slot.call(read_band_facts, tile, tile.location.time_limit_s, policy)
            require_reply(isinstance(raster, BandFacts), "no header of a raster")
            requests = list(_requests(path, tile, raster, choices))
            context.start_stage("reading embeddings", len(requests))
            parts = []
            for request in requests:
                limit_s = tile.location.time_limit_s
                parts.append(slot.call(read_band_vectors, request, limit_s, policy))
                require_reply(_are_vectors(parts[-1], request), "not the vectors of a raster")
                context.advance(1)
    except (TileError, WorkerLost) as error:
        raise TableError(f"{path}: {error.reason}") from error
    except FileNotFoundError as error:
        raise TableError(f"{path}: no such file") from error
    return _gathered(path, raster, requests, parts, context)


def _are_vectors(reply: Any, request: VectorsRequest) -> bool:
    """Whether a reply has the form of `read_band_vectors`."""
    if not isinstance(reply, tuple) or len(reply) != 3 or not isinstance(reply[0], np.ndarray):
        return False
    starts, vectors, places = reply
    count = len(starts) if starts.ndim else 0
    forms = ArrayForm("int64", (count, 2)), ArrayForm("float32", (count, request.dimensions), True)
    if not forms[0](starts) or not forms[1](vectors) or not are_places(places, count):
        return False
    cols, rows = starts.T
    return bool(np.isin(cols, request.cols).all() and np.isin(rows, request.rows).all())


def _requests(
    path: Path, tile: Tile, raster: BandFacts, choices: EmbeddingChoices
) -> Iterator[VectorsRequest]:
    """The chunks of a raster to read, one after another."""
    if raster.bands < 2:
        raise TableError(
            f"{path} has a single band; a raster of embeddings has a band a dimension",
            hint="to embed an image, use `rsretrieve index TILES --model DIR`",
        )
    windows = choices.windows
    side = 1 if windows is None else windows.window_px
    step = 1 if windows is None else windows.stride_px or side
    kept = choices.cut(path, raster.bands)
    cols, rows = (range(0, length - side + 1, step) for length in (raster.width, raster.height))
    _require_room(path, raster, len(cols) * len(rows), kept, side)
    apart = max(1, int((CHUNK_VALUES / raster.bands) ** 0.5 - side) // step)
    for top in range(0, len(rows), apart):
        for left in range(0, len(cols), apart):
            yield VectorsRequest(
                tile,
                tuple(cols[left : left + apart]),
                tuple(rows[top : top + apart]),
                side,
                kept,
                raster.quantization,
                1.0 if windows is None else windows.max_nodata,
            )


def _require_room(path: Path, raster: BandFacts, count: int, kept: int, side: int) -> None:
    size = f"{raster.width}×{raster.height} px"
    if not count:
        raise InvalidArgument(
            f"{path} has {size}, less than a window of {side} px", hint="give a smaller --window"
        )
    if side**2 * raster.bands > _MOST_VALUES:
        raise InvalidArgument(
            f"{path} has {raster.bands} bands: a window of {side} px is too large to read at once",
            hint="give a smaller --window",
        )
    needed = count * (4 * kept + _ROW_BYTES)
    if needed > available_bytes() // 2:
        raise InvalidArgument(
            f"{path} has {size}; {count:,} vectors of {kept} dimensions take "
            f"{needed / 1e9:.1f} GB, more than half of the free memory",
            hint="give a --window (one vector for each), a larger --stride, or fewer --dims",
        )


def _gathered(
    path: Path,
    raster: BandFacts,
    requests: list[VectorsRequest],
    parts: list[Any],
    context: RunContext,
) -> tuple[TileTable, NDArray[np.float32]]:
    starts, vectors = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
    asked = sum(len(request.cols) * len(request.rows) for request in requests)
    side = requests[0].side_px
    if asked > len(starts):
        what = "pixels" if side == 1 else "windows"
        context.notice(f"{path}: {asked - len(starts):,} of {asked:,} {what} have no data")
    if notice := raster.quantization.notice:
        context.notice(f"{path}: {notice}")
    if not len(starts):
        raise NoUsableTiles(f"{path}: none of {asked:,} pixels or windows has a vector")
    ids = [f"{path.name}#{col},{row},{side},{side}" for col, row in starts.tolist()]
    places: list[Place | None] = []
    for tile_id, (place, remark) in zip(ids, (each for part in parts for each in part[2])):
        places.append(place)
        if remark is not None:
            context.add_notes(tile_id, known_notes((remark,)))
    placed = table_of_places(places)
    columns: dict[str, Any] = {name: placed.column(name) for name in placed.schema.names}
    return table_of({"id": pyarrow.array(ids), **columns}, len(ids)), vectors
