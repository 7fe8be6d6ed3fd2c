"""Measure in a few seconds how fast tiles are read and embedded."""

from __future__ import annotations

import time
from dataclasses import dataclass

from rsretrieve._core.machine.run_cost import CostMeter
from rsretrieve._core.paths import Location
from rsretrieve.data.file_state import FileState
from rsretrieve.data.loading.batches import stream_batches
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.index.embed_tiles import BATCH_SIZE, embed_readable_tiles
from rsretrieve.network.model import Model

_MEASURED = 2 * BATCH_SIZE


@dataclass(frozen=True)
class TileRates:
    """What reading and embedding takes on this machine.

    Attributes:
        measured: number of tiles that were read.
        read_s: seconds a tile, reading alone.
        embed_s: seconds a tile, reading included: both run at the same time.
        processor_s: the same in processor time, of the processes that decode, too.
        dimensions: D of the embeddings.
        file_bytes: of a tile on the disk; 0 if the tiles are not on this machine.
    """

    measured: int
    read_s: float
    embed_s: float
    processor_s: float
    dimensions: int
    file_bytes: float = 0.0


def measure_tiles(model: Model, tiles: TileSet, context: RunContext) -> TileRates:
    """Read and embed some tiles, spread over the set; the first few only warm up.

    Args:
        model: the model.
        tiles: the tiles; at most 256 are read, twice.
        context: receives the tiles that cannot be read.

    Returns:
        The rates. A set that is on a slow disk is read from the disk by the first pass only.
    """
    apart = max(1, len(tiles) // _MEASURED)
    some = tiles.select(list(range(0, len(tiles), apart))[:_MEASURED])
    quiet = RunContext(listener=context.report)
    started = time.perf_counter()
    preprocessing = model.description.preprocessing
    read = sum(len(batch.tiles) for batch in stream_batches(some, preprocessing, 64, quiet))
    reading = time.perf_counter() - started
    embed_readable_tiles(model, some.select(list(range(min(8, len(some))))), quiet)
    cost = CostMeter()
    embedded = embed_readable_tiles(model, some, quiet)
    processor = cost.to_json()["processor_seconds"]
    for failure in quiet.failures[: len(some) - read]:
        context.add_failure(failure)
    count = max(1, len(embedded.tiles))
    return TileRates(
        measured=len(some),
        read_s=reading / max(1, read),
        embed_s=embedded.seconds / count,
        processor_s=processor / count,
        dimensions=model.description.dimensions,
        file_bytes=bytes_a_tile(tiles),
    )


def bytes_a_tile(tiles: TileSet) -> float:
    """The size of the tiles' files, divided by the number of tiles; 0 if one is not local."""
    total = 0
    for path in dict.fromkeys(tile.path for tile in tiles):
        if not Location.parse(path).is_local:
            return 0.0
        total += max(0, FileState.of(path).size_bytes)
    return total / max(1, len(tiles))
