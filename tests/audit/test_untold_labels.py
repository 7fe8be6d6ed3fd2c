"""Labels that only one tile has: there is nothing to compare them with."""

from __future__ import annotations

import numpy as np
import pytest

from rsretrieve.audit.audit import AuditRequest, audit_labels
from rsretrieve.audit.evidence.external_embeddings import ExternalEmbeddings
from rsretrieve.audit.evidence.from_embeddings import EmbeddingEvidence
from rsretrieve.audit.result import Audit
from rsretrieve.audit.result_table import rows_of
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.errors import LabelsError
from rsretrieve.progress import Event, Noticed


def audited(
    sizes: list[int],
    wrong: int = 0,
    context: RunContext | None = None,
    *,
    are_equal: bool = False,
) -> Audit:
    """The audit of classes of these sizes, far from one another; some labels are wrong."""
    rng = np.random.default_rng(5)
    centres = np.linalg.qr(rng.normal(size=(64, len(sizes))))[0].T
    classes = np.repeat(np.arange(len(sizes)), sizes)
    vectors = centres[classes] + 0.05 * rng.normal(size=(len(classes), 64))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    if are_equal:
        vectors[:] = vectors[0]
    given = classes.copy()
    given[len(given) - wrong :] = classes[len(given) - wrong - sizes[-1]]
    tiles = TileSet("made", tuple(Tile(f"{i}", f"{i}", f"c{c:02d}") for i, c in enumerate(given)))
    ids = tuple(tile.id for tile in tiles)
    embeddings = ExternalEmbeddings("e.npy", tiles, ids, vectors, frozenset())
    request = AuditRequest(tiles, EmbeddingEvidence(embeddings))
    return audit_labels(request, context or RunContext())


def test_the_noise_rate_is_the_mean_probability_of_all_and_of_each_class() -> None:
    audit = audited([30] * 5, wrong=6)
    wrong = [(row["given_label"], row["issue_probability"]) for row in rows_of(audit.table)]
    assert audit.noise_rate == pytest.approx(np.mean([p for _, p in wrong]))
    assert audit.interval[0] <= audit.noise_rate <= audit.interval[1]
    for entry in audit.per_class:
        of_class = [p for label, p in wrong if label == entry.label]
        assert entry.noise_rate == pytest.approx(np.mean(of_class))


@pytest.mark.parametrize("sizes", [[1] * 10 + [9] * 10, [1, 30, 30], [1] * 3 + [4] * 8])
def test_the_only_tile_of_a_class_is_no_issue_and_in_no_rate(sizes: list[int]) -> None:
    events: list[Event] = []
    audit, alone = audited(sizes, context=RunContext(listener=events.append)), sizes.count(1)
    assert not len(audit.issues)
    assert (audit.noise_rate is None) == (sum(sizes) < 10 * len(sizes))
    assert (audit.noise_rate or 0.0) < 0.05
    assert audit.interval[0] < 0.01
    assert audit.interval[1] >= alone / sum(sizes)
    assert any(f"only one tile has: {alone};" in e.text for e in events if isinstance(e, Noticed))
    kinds = [row["kind"] for row in rows_of(audit.table)]
    assert kinds.count("rare_class") == alone
    untold = [entry for entry in audit.per_class if entry.tiles == 1]
    assert [entry.interval for entry in untold] == [(0.0, 1.0)] * alone


def test_wrong_labels_beside_such_tiles_are_found_still() -> None:
    audit = audited([1] * 5 + [30] * 5, wrong=6)
    assert {row["tile"] for row in rows_of(audit.issues)} == {str(i) for i in range(149, 155)}
    assert audit.noise_rate == pytest.approx(6 / 150, abs=0.01)
    assert audit.interval[0] < 6 / 155 < audit.interval[1]


def test_the_noise_matrix_says_nothing_against_them() -> None:
    audit = audited([1, 30, 30])
    assert audit.noise_matrix is not None
    assert audit.noise_matrix.values[0].tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("sizes", [[4] * 8, [30] * 5, [1, 30, 30, 1]])
def test_a_share_is_known_only_where_the_rate_of_its_label_is(sizes: list[int]) -> None:
    """Few tiles, embeddings that are all equal, and classes of one tile."""
    audit = audited(sizes, are_equal=sizes == [30] * 5)
    matrix = audit.noise_matrix
    assert matrix is not None
    own = np.arange(len(sizes))
    low, high = matrix.intervals(own, own)
    for entry in audit.per_class:
        number = matrix.class_names.index(entry.label)
        if entry.noise_rate is None:
            assert (low[number], high[number]) == (0.0, 1.0)
        else:
            assert high[number] - low[number] < 0.2
    untold = [entry.noise_rate is None for entry in audit.per_class]
    assert untold == [size < 30 or audit.noise_rate is None for size in sizes]


@pytest.mark.parametrize("sizes", [[1] * 10 + [9] * 10, [1, 30, 30], [1] * 3 + [4] * 8])
def test_no_class_of_such_a_tile_has_a_probability(sizes: list[int]) -> None:
    for row in rows_of(audited(sizes).table):
        names = ("predicted", "witnessed", "suggested", "second")
        probabilities = [row[f"{name}_probability"] for name in names]
        if sizes[int(row["given_label"].removeprefix("c"))] == 1:
            assert (row["label_score"], probabilities) == (0.5, [None] * 4)
            assert not row["has_confident_suggestion"]
        else:
            assert probabilities[0] is not None


def test_classes_of_one_tile_each_are_refused() -> None:
    with pytest.raises(LabelsError, match="each of the 4 tiles is the only one of its class"):
        audited([1] * 4)
