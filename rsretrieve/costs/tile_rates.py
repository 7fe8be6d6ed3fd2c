"""Measure in a few seconds how fast tiles are read and embedded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rsretrieve._core.machine.run_cost import CostMeter
from rsretrieve._core.paths import Location
from rsretrieve.audit.duplicates.thumbprint import to_coarse_direction
from rsretrieve.audit.estimators.neighbors import most_similar
from rsretrieve.costs.cost import NO_COST, Cost, peak_bytes
from rsretrieve.data.file_state import FileState
from rsretrieve.data.loading.batches import stream_batches
from rsretrieve.data.profile.measure_scale import measure_scale
from rsretrieve.data.reading.read_tiles import read_in_order
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.index.common_packing import packing_of_tiles
from rsretrieve.index.embed_tiles import BATCH_SIZE, Embeddings, embed_readable_tiles
from rsretrieve.network.model import Model

_MEASURED = 2 * BATCH_SIZE
_FIRST = 32  # tiles that start the processes that decode


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
        pixels: what an audit takes to read a tile again, in full, to compare its pixels; nothing if
            the tiles have no labels.
        start: until the first tiles are embedded; does not depend on their number.
        peak_bytes: peak memory of the process with the measured tiles.
        contrary: share of the tiles whose nearest tile has another label.
    """

    measured: int
    read_s: float
    embed_s: float
    processor_s: float
    dimensions: int
    file_bytes: float = 0.0
    pixels: Cost = NO_COST
    start: Cost = NO_COST
    peak_bytes: int = 0
    contrary: float = 0.0


def measure_tiles(
    model: Model, tiles: TileSet, context: RunContext, start: Cost = NO_COST
) -> TileRates:
    """Read and embed some tiles, spread over the set; the first few only warm up.

    Args:
        model: the model.
        tiles: the tiles; at most 256 are read, twice.
        context: receives the tiles that cannot be read.
        start: what was taken until the model was there.

    Returns:
        The rates. A set that is on a slow disk is read from the disk by the first pass only.
    """
    apart = max(1, len(tiles) // _MEASURED)
    some = tiles.select(list(range(0, len(tiles), apart))[:_MEASURED])
    quiet = RunContext(listener=context.report)
    warming = CostMeter()
    packing_of_tiles(model, tiles, RunContext())
    few = some.select(list(range(min(_FIRST, len(some)))))
    first = embed_readable_tiles(model, few, RunContext(listener=context.report))
    measure_scale(first.tiles, first.places)
    warmed, reading = Cost.since(warming), CostMeter()
    preprocessing = model.description.preprocessing
    read = sum(len(batch.tiles) for batch in stream_batches(some, preprocessing, 64, quiet))
    took, embedding = Cost.since(reading), CostMeter()
    embedded = embed_readable_tiles(model, some, quiet)
    processor_s = Cost.since(embedding).processor_s
    for failure in quiet.failures[: len(some) - read]:
        context.add_failure(failure)
    count, contrary = max(1, len(embedded.tiles)), _contrary(embedded)
    of_few = Cost(embedded.seconds, processor_s).times(len(few) / count)
    return TileRates(
        measured=len(some),
        read_s=took.seconds / max(1, read),
        embed_s=embedded.seconds / count,
        processor_s=processor_s / count,
        dimensions=model.description.dimensions,
        file_bytes=bytes_a_tile(tiles),
        pixels=_reading_pixels(embedded.tiles) if contrary else NO_COST,
        start=start + warmed.without(of_few),
        peak_bytes=peak_bytes(),
        contrary=contrary,
    )


def _reading_pixels(tiles: TileSet) -> Cost:
    """What a tile takes."""
    meter = CostMeter()
    count = sum(1 for _ in read_in_order(tiles, to_coarse_direction))
    return Cost.since(meter).times(1 / max(1, count))


def _contrary(embedded: Embeddings) -> float:
    """The share of the tiles whose nearest tile has another label; 0 without labels."""
    labels = np.array([tile.label or "" for tile in embedded.tiles])
    if len(labels) < 2 or not labels.all():
        return 0.0
    nearest = most_similar(embedded.vectors, embedded.vectors, 2).rows
    own = nearest[:, 0] == np.arange(len(labels))
    return float(np.mean(labels[np.where(own, nearest[:, 1], nearest[:, 0])] != labels))


def bytes_a_tile(tiles: TileSet) -> float:
    """The size of the tiles' files, divided by the number of tiles; 0 if one is not local."""
    total = 0
    for path in dict.fromkeys(tile.path for tile in tiles):
        if not Location.parse(path).is_local:
            return 0.0
        total += max(0, FileState.of(path).size_bytes)
    return total / max(1, len(tiles))
