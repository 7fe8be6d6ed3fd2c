"""Measure in a few seconds how fast labels are audited, and predict an audit of N tiles."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from rsretrieve.audit.audit import AuditRequest, audit_labels
from rsretrieve.audit.duplicates.find import NEIGHBOURS_WITH_PIXELS
from rsretrieve.audit.estimators.neighbors import MOST_EXACT, PER_CELL
from rsretrieve.audit.evidence.external_embeddings import ExternalEmbeddings
from rsretrieve.audit.evidence.from_embeddings import EmbeddingEvidence
from rsretrieve.costs.cost import NO_COST, Cost
from rsretrieve.costs.machine_rates import MachineRates
from rsretrieve.costs.predict_index import (
    Prediction,
    processor_of_tiles,
    runtime_bytes,
    seconds_of_tiles,
)
from rsretrieve.costs.tile_rates import TileRates
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile, TileSet

_FEW, _MANY = 1000, 4000
_CLASSES, _WRONG = 20, 0.1
_NEAR_CELLS = 10  # in which the neighbours of a tile are searched, of about `PER_CELL` tiles
_TILE_BYTES, _ROW_BYTES = 2600, 250  # memory above the embeddings; a row of the CSV file


@dataclass(frozen=True)
class AuditRates:
    """What an audit of embeddings takes, in processor time.

    Attributes:
        base_s: for any number of tiles.
        tile_s: for each tile, without comparing it with the others.
    """

    base_s: float
    tile_s: float


def measure_audit(rates: MachineRates) -> AuditRates:
    """Audit made-up labels of two numbers of random embeddings."""
    few, many = (_audit_s(count, rates) for count in (_FEW, _MANY))
    tile_s = max(0.0, (many - few) / (_MANY - _FEW))
    return AuditRates(max(0.0, few - _FEW * tile_s), tile_s)


def _audit_s(count: int, rates: MachineRates) -> float:
    """The processor time of an audit, less that of comparing all tiles with each other."""
    rng = np.random.default_rng(0)
    true = rng.integers(0, _CLASSES, count)
    centres = rng.standard_normal((_CLASSES, rates.dimensions), np.float32)
    noise = rng.standard_normal((count, rates.dimensions), np.float32)
    vectors = centres[true] + 0.5 * noise
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    given = np.where(rng.random(count) < _WRONG, rng.integers(0, _CLASSES, count), true)
    tiles = tuple(Tile(str(i), "", f"class {label}") for i, label in enumerate(given.tolist()))
    ids, made_up = [tile.id for tile in tiles], TileSet("made-up tiles", tiles)
    found = ExternalEmbeddings("made-up tiles", made_up, ids, vectors, frozenset())
    started = time.process_time()
    audit_labels(AuditRequest(made_up, EmbeddingEvidence(found)), RunContext())
    return time.process_time() - started - count * compared_with(count) * rates.compare_s


def compared_with(count: int) -> float:
    """Number of tiles that each of N tiles is compared with to find its neighbours."""
    return float(count) if count <= MOST_EXACT else _NEAR_CELLS * PER_CELL + count / PER_CELL


def predict_audit(
    rates: MachineRates,
    audit: AuditRates,
    count: int,
    tiles: TileRates | None,
    start: Cost = NO_COST,
) -> Prediction:
    """Predict `rsretrieve audit-labels`.

    Args:
        rates: of the machine, for vectors of D dimensions.
        audit: of the audit.
        count: N.
        tiles: how fast tiles are embedded; None if the embeddings are given.
        start: what the command takes before it reads embeddings that are given.
    """
    processor = {
        "finding neighbours": count * compared_with(count) * rates.compare_s,
        "estimating": audit.base_s + audit.tile_s * count,
    }
    seconds = seconds_of_tiles(tiles, count, start)
    seconds |= {name: one / rates.cores for name, one in processor.items()}
    used = sum(processor.values()) + processor_of_tiles(tiles, count, start)
    if tiles is not None:
        pixels = tiles.pixels.times(compared_by_pixels(tiles.contrary) * count)
        seconds["comparing pixels"] = pixels.seconds
        used += pixels.processor_s
    memory = runtime_bytes(tiles) + (_TILE_BYTES + 4 * rates.dimensions) * count
    files, disk = 0 if tiles is None else int(tiles.file_bytes * count), _ROW_BYTES * count
    return Prediction("audit-labels", count, seconds, used, memory, disk, read_bytes=files)


def compared_by_pixels(contrary: float) -> float:
    """The share of the tiles that are read again: one of their neighbours has another label.

    Args:
        contrary: the share of the tiles whose nearest tile has another label.
    """
    return 1 - (1 - contrary) ** NEIGHBOURS_WITH_PIXELS
