"""The parts of the trial of learning without labels."""

from __future__ import annotations

import numpy as np

from benchmarks.without_labels import Start, Variant, clusters_of, figures, learn, unit


def blobs(classes=4, each=30, features=16, seed=0):
    """Rows around one centre for each class, and their classes."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), each)
    rows = rng.normal(size=(classes, features))[labels] * 4 + rng.normal(size=(len(labels), 16))
    return rows.astype(np.float32), labels


def test_clusters_are_numbered_without_gaps_and_find_blobs():
    rows, labels = blobs()
    found = clusters_of(unit(rows), 4, 0)
    assert sorted(np.unique(found)) == [0, 1, 2, 3]
    assert len({*zip(found.tolist(), labels.tolist())}) == 4


def test_each_round_gives_unit_rows_that_keep_blobs_together():
    rows, labels = blobs()
    rounds = [*learn(Variant("no metric", 30, 2, epochs=2), Start(rows, unit(rows)))]
    assert len(rounds) == 2
    for vectors in rounds:
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
        assert float(figures(vectors, labels, 1).split("|")[0]) > 0.95
