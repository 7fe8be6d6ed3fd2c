"""The order of the tiles and the names of the classes do not change what an audit finds."""

from __future__ import annotations

import numpy as np
import pytest

from rsretrieve.audit.audit import AuditRequest, audit_labels
from rsretrieve.audit.evidence.external_embeddings import ExternalEmbeddings
from rsretrieve.audit.evidence.from_embeddings import EmbeddingEvidence
from rsretrieve.audit.result_table import tuples_of
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile, TileSet

CLASSES, PER_CLASS = 6, 25
NAMES = tuple("abcdef")


def scores(order: list[int], names: tuple[str, ...]) -> dict[str, tuple[object, ...]]:
    """Tile id → score and verdict, of tiles in some order with some names of classes."""
    rng = np.random.default_rng(3)
    true = np.repeat(np.arange(CLASSES), PER_CLASS)
    rows = 3 * np.eye(CLASSES, 12)[true] + rng.normal(0, 1, (len(true), 12))
    rows[1] = rows[0]  # near-duplicates
    rows[40] = rows[0]
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    given = (true + (rng.random(len(true)) < 0.2) * rng.integers(1, CLASSES, len(true))) % CLASSES
    ids = [f"tile{i}" for i in order]
    tiles = TileSet("here", tuple(Tile(f"tile{i}", "", names[given[i]]) for i in order))
    source = EmbeddingEvidence(ExternalEmbeddings("here", tiles, ids, rows[order], frozenset()))
    found = audit_labels(AuditRequest(tiles, source), RunContext())
    columns = ("tile", "label_score", "prototype_score", "is_label_issue", "suggested_label")
    return {
        tile: (score, by_prototypes, flagged, NAMES[names.index(suggested)])
        for tile, score, by_prototypes, flagged, suggested in tuples_of(found.table, columns)
    }


@pytest.mark.parametrize(
    "names", [NAMES, ("f", "e", "d", "c", "b", "a"), ("c", "a", "f", "b", "e", "d")]
)
@pytest.mark.parametrize("seed", [None, 1, 2])
@pytest.mark.medium
def test_shuffled_rows_and_renamed_classes_have_the_same_scores(
    names: tuple[str, ...], seed: int | None
) -> None:
    count = CLASSES * PER_CLASS
    order = list(range(count))
    if seed is not None:
        order = np.random.default_rng(seed).permutation(count).tolist()
    expected, found = scores(list(range(count)), NAMES), scores(order, names)
    assert found.keys() == expected.keys()
    for tile, (score, by_prototypes, *verdict) in expected.items():
        assert found[tile][:2] == pytest.approx((score, by_prototypes), abs=1e-6)
        assert list(found[tile][2:]) == verdict
