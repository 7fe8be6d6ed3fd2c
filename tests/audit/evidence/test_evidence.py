"""The order of the tiles and the names of the classes do not change what an audit finds."""

from __future__ import annotations

import numpy as np
import pytest

from rsretrieve.audit import classifier_sets
from rsretrieve.audit.audit import AuditRequest, audit_labels
from rsretrieve.audit.estimators.unit_vectors import UnitRows
from rsretrieve.audit.evidence.evidence import Evidence
from rsretrieve.audit.evidence.external_embeddings import ExternalEmbeddings
from rsretrieve.audit.evidence.from_embeddings import EmbeddingEvidence
from rsretrieve.audit.result_table import tuples_of
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile, TileSet

CLASSES, PER_CLASS = 20, 25
NAMES = tuple("abcdefghijklmnopqrst")


def scores(order: list[int], names: tuple[str, ...]) -> dict[str, tuple[object, ...]]:
    """Tile id → scores and verdict, of tiles in some order with some names of classes."""
    rng = np.random.default_rng(3)
    true = np.repeat(np.arange(CLASSES), PER_CLASS)
    rows = 3 * np.eye(CLASSES, 24)[true] + rng.normal(0, 1, (len(true), 24))
    rows[1] = rows[0]  # near-duplicates
    rows[40] = rows[0]
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    given = (true + (rng.random(len(true)) < 0.2) * rng.integers(1, CLASSES, len(true))) % CLASSES
    ids = [f"tile{i}" for i in order]
    tiles = TileSet("here", tuple(Tile(f"tile{i}", "", names[given[i]]) for i in order))
    source = EmbeddingEvidence(ExternalEmbeddings("here", tiles, ids, rows[order], frozenset()))
    found = audit_labels(AuditRequest(tiles, source), RunContext())
    assert [each.label for each in found.per_class] == sorted(names)
    assert found.noise_matrix is not None
    assert found.noise_matrix.class_names == tuple(sorted(names))
    own = {each.label: each.noise_rate for each in found.per_class}
    expected = dict(zip(found.noise_matrix.class_names, np.diag(found.noise_matrix.values)))
    columns = ("tile", "given_label", "label_score", "prototype_score", "is_label_issue")
    return {
        tile: (
            score,
            by_prototypes,
            flagged,
            NAMES[names.index(suggested)],
            own[label],
            expected[label],
        )
        for tile, label, score, by_prototypes, flagged, suggested in tuples_of(
            found.table, (*columns, "suggested_label")
        )
    }


@pytest.mark.parametrize("most_scores", [10_000_000, 0])
@pytest.mark.parametrize("names", [NAMES, NAMES[::-1], (*NAMES[7:], *NAMES[:7])])
@pytest.mark.parametrize("seed", [None, 1])
@pytest.mark.medium
def test_shuffled_rows_and_renamed_classes_have_the_same_scores(
    names: tuple[str, ...], seed: int | None, most_scores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classifier_sets, "MOST_SCORES", most_scores)  # above: the likely classes
    count = CLASSES * PER_CLASS
    order = list(range(count))
    if seed is not None:
        order = np.random.default_rng(seed).permutation(count).tolist()
    expected, found = scores(list(range(count)), NAMES), scores(order, names)
    assert found == expected


def test_classes_without_a_tile_are_in_an_order_that_their_names_do_not_change() -> None:
    prototypes = np.eye(4, dtype=np.float32)
    tiles = TileSet(
        "here", tuple(Tile(f"tile{i}", "", "sea" if i % 2 else "wood") for i in range(6))
    )

    def ordered(names: tuple[str, ...], numbers: list[int]) -> Evidence:
        vectors = UnitRows(np.eye(6, 4, dtype=np.float32))
        sizes = np.array([3, 3, 0, 0])[numbers]
        of = Evidence(tiles, names, vectors, prototypes[numbers], 0.1, sizes)
        return of.in_order_of_ids()

    found = ordered(("city", "sea", "wood", "field"), [2, 0, 1, 3])
    renamed = ordered(("a", "sea", "z", "wood"), [3, 0, 2, 1])
    np.testing.assert_array_equal(found.prototypes, renamed.prototypes)
    np.testing.assert_array_equal(found.labels, renamed.labels)
    np.testing.assert_array_equal(found.class_sizes, [3, 3, 0, 0])
    names = dict(zip(found.class_names, found.prototypes.argmax(axis=1).tolist()))
    assert names == {"sea": 0, "wood": 1, "city": 2, "field": 3}
