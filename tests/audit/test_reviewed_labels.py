"""Audits of labels most or all of which a person decided on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from rsretrieve.audit.audit import AuditRequest, audit_labels
from rsretrieve.audit.evidence.external_embeddings import ExternalEmbeddings
from rsretrieve.audit.evidence.from_embeddings import EmbeddingEvidence
from rsretrieve.audit.result import Audit
from rsretrieve.data.labels.confirmed import ConfirmedLabel, Rule
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.progress import Event, Noticed

Numbers = NDArray[np.int64]


def made(
    classes: int, tiles: int, spread: float, rate: float
) -> tuple[NDArray[np.float32], Numbers, Numbers]:
    """Vectors of so many tiles in each class, their true classes, and labels with noise."""
    rng = np.random.default_rng(0)
    true = np.repeat(np.arange(classes), tiles)
    centres = np.linalg.qr(rng.normal(size=(24, classes)))[0].T
    vectors = centres[true] + spread * rng.normal(size=(len(true), 24)) / np.sqrt(24)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    moved = (rng.random(len(true)) < rate) * rng.integers(1, classes, len(true))
    return vectors.astype(np.float32), true, (true + moved) % classes


def audited(
    vectors: NDArray[np.float32],
    labels: Numbers,
    original: Callable[[int], str | None],
    confirmed: NDArray[np.bool_],
    events: list[Event] | None = None,
) -> Audit:
    """The audit of labels of which a person confirmed some."""
    tiles = TileSet(
        "made",
        tuple(
            Tile(
                f"{i:04d}",
                f"{i:04d}",
                f"c{label}",
                confirmed=ConfirmedLabel(Rule.CHOOSE, original(i)) if confirmed[i] else None,
            )
            for i, label in enumerate(labels)
        ),
    )
    ids = tuple(tile.id for tile in tiles)
    embeddings = ExternalEmbeddings("e.npy", tiles, ids, vectors, frozenset())
    context = RunContext() if events is None else RunContext(listener=events.append)
    return audit_labels(AuditRequest(tiles, EmbeddingEvidence(embeddings)), context)


@pytest.mark.parametrize("tiles", [4, 30])
@pytest.mark.parametrize("is_known", [True, False])
def test_nothing_is_left_to_find_if_every_label_is_decided_on(tiles: int, is_known: bool) -> None:
    vectors, true, given = made(classes=4, tiles=tiles, spread=0.5, rate=0.2)
    events: list[Event] = []
    audit = audited(
        vectors,
        true,
        lambda i: f"c{given[i]}" if is_known else None,
        np.ones(len(true), bool),
        events,
    )
    assert not len(audit.issues)
    assert audit.noise_rate == pytest.approx(0, abs=1e-6)
    assert audit.interval == pytest.approx((0, 0), abs=1e-6)
    assert (audit.wrong_left.undecided, audit.wrong_left.interval) == (0, (0, 0))
    assert audit.wrong_left.expected == 0
    assert not any("explain the labels" in e.text for e in events if isinstance(e, Noticed))


@pytest.mark.parametrize("left", [1, 3])
def test_the_last_open_labels_are_audited(left: int) -> None:
    """Also where the labels from before the decisions are not known."""
    vectors, true, _ = made(classes=3, tiles=40, spread=0.7, rate=0.2)
    confirmed = np.arange(len(true)) >= left
    # The open tiles lie between the classes: they are not among the certain ones.
    between = vectors[5] + vectors[45] + vectors[85]
    vectors[:left] = between / np.linalg.norm(between)
    audit = audited(vectors, true, lambda _: None, confirmed)
    assert np.isfinite(audit.interval).all()
    assert audit.wrong_left.undecided == left


def test_labels_that_a_person_corrected_do_not_widen_the_range_of_the_others() -> None:
    vectors, true, given = made(classes=8, tiles=40, spread=1.7, rate=0.3)
    before = audited(vectors, given, lambda _: None, np.zeros(len(given), bool))
    corrected = (given != true) & (np.arange(len(given)) % 8 != 0)
    now = np.where(corrected, true, given)
    after = audited(vectors, now, lambda i: f"c{given[i]}", corrected)
    left = (now != true).mean()
    assert after.interval[0] <= left <= after.interval[1] < 0.2 < before.interval[1]
    assert after.noise_rate is not None
