"""Labels are kept or replaced where the network and a tile's neighbours agree."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from rsretrieve.data.preprocessing.preprocessing import Preprocessing
from rsretrieve.errors import InvalidArgument
from rsretrieve.network.embedder import Embedder
from rsretrieve.network.network import EmbeddingNetwork
from rsretrieve.network.prototypes import Prototypes
from rsretrieve.training.targets.neighbor_agreement import (
    NeighborAgreementPolicy,
    Thresholds,
    agreed_targets,
    align_class_frequencies,
    neighbor_votes,
)
from rsretrieve.training.targets.target_settings import AgreementSettings
from rsretrieve.training.targets.targets import Predictions, Targets, predict

ASKED = AgreementSettings(share=0.3, relabel=0.6, relabel_after=0.5, memory=0.7)
K = 0.5


def thresholds(*, relabel: bool) -> Thresholds:
    return Thresholds(K, ASKED.share, ASKED.relabel if relabel else math.inf)


def unit_rows(count: int, seed: int) -> Tensor:
    rows = torch.randn(count, 4, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(rows, dim=1)


def random_targets(count: int, classes: int, seed: int) -> Targets:
    chance = np.random.default_rng(seed)
    labels = torch.from_numpy(chance.integers(0, classes, count))
    return Targets(labels, torch.from_numpy(chance.integers(0, 2, count)).float())


# Votes


def votes_by_hand(embeddings: Tensor, targets: Targets, classes: int) -> list[list[float]]:
    """The module's text as a plain loop."""
    table = []
    for i in range(len(embeddings)):
        others = [j for j in range(len(embeddings)) if j != i and targets.weights[j] > 0]
        cosines = {j: float(embeddings[i] @ embeddings[j]) for j in others}
        nearest = sorted(others, key=lambda j: -cosines[j])[:10]
        votes = [0.0] * classes
        for j in nearest:
            votes[int(targets.labels[j])] += math.exp(cosines[j] / 0.1)
        total = sum(votes)
        table.append([vote / total if total else 0.0 for vote in votes])
    return table


@pytest.mark.parametrize("count", [1, 2, 5, 11, 40])
@pytest.mark.parametrize("block_bytes", [1, 4 * 40 * 7, 1 << 20])
def test_votes_are_those_of_a_plain_loop(count: int, block_bytes: int) -> None:
    embeddings, targets = unit_rows(count, 1), random_targets(count, 3, 2)
    found = neighbor_votes(embeddings, targets, 3, block_bytes)
    torch.testing.assert_close(found, torch.tensor(votes_by_hand(embeddings, targets, 3)))


def test_a_tile_has_no_vote_about_itself() -> None:
    embeddings = torch.eye(3)
    targets = Targets(torch.tensor([0, 1, 1]), torch.ones(3))
    assert neighbor_votes(embeddings, targets, 2).tolist() == [[0, 1], [0.5, 0.5], [0.5, 0.5]]


def test_where_nobody_is_taught_nobody_votes() -> None:
    targets = Targets(torch.tensor([0, 1, 1]), torch.zeros(3))
    assert neighbor_votes(torch.eye(3), targets, 2).tolist() == [[0, 0]] * 3


def test_relabelled_tiles_vote_for_what_they_are_taught() -> None:
    targets = Targets(torch.tensor([2, 0, 0]), torch.tensor([1.0, 0, 0]))
    assert neighbor_votes(torch.eye(3), targets, 3)[1].tolist() == [0, 0, 1]


# The rule


def decided(
    probabilities: list[float], votes: list[float], label: int, *, relabel: bool = True
) -> tuple[int, float]:
    """What becomes of one tile, among others that keep every class known."""
    classes = len(votes)
    sure = torch.eye(classes)
    targets = agreed_targets(
        torch.cat((torch.tensor([probabilities]), sure)),
        torch.cat((torch.tensor([votes]), sure)),
        torch.tensor([label, *range(classes)]),
        Targets.as_given(torch.tensor([label, *range(classes)])),
        thresholds(relabel=relabel),
    )
    assert targets.labels[1:].tolist() == list(range(classes))
    assert targets.weights[1:].tolist() == [1] * classes
    return int(targets.labels[0]), float(targets.weights[0])


@pytest.mark.parametrize(
    ("probabilities", "votes", "outcome"),
    [
        pytest.param([0.6, 0.3, 0.1], [0.4, 0.6, 0.0], (0, 1), id="both support the label"),
        pytest.param([0.6, 0.3, 0.1], [0.3, 0.7, 0.0], (0, 0), id="neighbours do not"),
        pytest.param([0.5, 0.3, 0.2], [0.9, 0.1, 0.0], (0, 0), id="the network does not"),
        pytest.param([0.2, 0.7, 0.1], [0.4, 0.6, 0.0], (1, 1), id="both want another"),
        pytest.param([0.2, 0.7, 0.1], [0.4, 0.0, 0.6], (0, 0), id="they want different ones"),
        pytest.param([0.3, 0.6, 0.1], [0.0, 1.0, 0.0], (0, 0), id="the other is not sure enough"),
    ],
)
def test_what_becomes_of_a_label(
    probabilities: list[float], votes: list[float], outcome: tuple[int, float]
) -> None:
    assert decided(probabilities, votes, 0) == outcome


def test_no_label_is_mended_before_its_time() -> None:
    assert decided([0.1, 0.9, 0.0], [0.0, 1.0, 0.0], 0, relabel=False) == (0, 0)


def test_a_class_that_nobody_would_be_taught_keeps_its_previous_targets() -> None:
    given = torch.tensor([0, 0, 1, 1])
    previous = Targets(torch.tensor([0, 1, 1, 1]), torch.tensor([1.0, 1, 0, 1]))
    probabilities = torch.tensor([[0.4, 0.6], [0.45, 0.55], [0.1, 0.9], [0.6, 0.4]])
    votes = torch.full((4, 2), 0.5)
    targets = agreed_targets(probabilities, votes, given, previous, thresholds(relabel=False))
    assert targets.labels.tolist() == [0, 1, 1, 1]
    assert targets.weights.tolist() == [1, 1, 1, 0]


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**16), st.booleans())
def test_every_tile_is_decided_by_the_rule(seed: int, relabel: bool) -> None:
    chance = np.random.default_rng(seed)
    p = torch.from_numpy(chance.dirichlet([0.3] * 3, 12)).float()
    u = torch.from_numpy(chance.dirichlet([0.3] * 3, 12)).float()
    labels = torch.from_numpy(chance.integers(0, 3, 12))
    previous = random_targets(12, 3, seed)
    targets = agreed_targets(p, u, labels, previous, thresholds(relabel=relabel))
    decisions: list[tuple[int, int]] = []
    for i, y in enumerate(labels.tolist()):
        c = int(p[i].argmax())
        if p[i, y] > K and u[i, y] > ASKED.share:
            decisions.append((y, 1))
        elif relabel and c == int(u[i].argmax()) and c != y and p[i, c] > ASKED.relabel:
            decisions.append((c, 1))
        else:
            decisions.append((y, 0))
    known = {label for label, taught in decisions if taught}
    for i, y in enumerate(labels.tolist()):
        if y not in known and decisions[i][0] == y:
            decisions[i] = (int(previous.labels[i]), int(previous.weights[i]))
    assert list(zip(targets.labels.tolist(), targets.weights.tolist())) == decisions


@pytest.mark.parametrize("name", ["share", "relabel", "relabel_after", "memory"])
@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan])
def test_shares_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(InvalidArgument, match=r"0…1"):
        AgreementSettings(**{**vars(ASKED), name: value})


# Alignment


@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(1, 6))
@settings(deadline=None)
@pytest.mark.medium
def test_alignment_is_that_of_a_plain_loop(seed: int, count: int, classes: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    rows = torch.rand(count, classes, generator=generator, dtype=torch.float64).softmax(dim=1)
    labels = torch.randint(0, classes, (count,), generator=generator)
    found = align_class_frequencies(rows, labels)
    for i in range(count):
        shares = [
            float(rows[i, c])
            * sum(int(label) == c for label in labels)
            / sum(float(rows[j, c]) for j in range(count))
            for c in range(classes)
        ]
        assert found[i].tolist() == pytest.approx([share / sum(shares) for share in shares])


def test_a_class_that_the_network_is_slow_to_learn_keeps_its_tiles() -> None:
    # The network says "0" of all tiles, of those of class 1 a little less.
    rows = torch.tensor([[0.9, 0.1]] * 5 + [[0.7, 0.3]] * 5)
    labels = torch.tensor([0] * 5 + [1] * 5)
    assert (rows.argmax(dim=1) == 0).all()
    assert align_class_frequencies(rows, labels).argmax(dim=1).tolist() == labels.tolist()


def test_a_class_that_no_tile_is_near_or_that_is_never_given_is_no_trouble() -> None:
    rows = torch.tensor([[0.5, 0.0, 0.5], [0.75, 0.0, 0.25]])
    found = align_class_frequencies(rows, torch.tensor([0, 1]))
    assert found.isfinite().all()
    assert found.tolist() == [[1, 0, 0], [1, 0, 0]]


# The policy


@pytest.fixture
def prototypes() -> Prototypes:
    return Prototypes(3, 8, 0.5, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def embedder(network: EmbeddingNetwork, preprocessing: Preprocessing) -> Embedder:
    return Embedder(network, preprocessing, torch.device("cpu"))


def probabilities(embedder: Embedder, prototypes: Prototypes, pixels: NDArray[np.uint8]) -> Tensor:
    with torch.no_grad():
        return prototypes(embedder.embed(pixels)).exp()


def test_probabilities_are_averaged_over_updates_and_remembered(
    embedder: Embedder, prototypes: Prototypes, pixels: NDArray[np.uint8]
) -> None:
    given = torch.arange(7) % 3
    policy = NeighborAgreementPolicy(K, ASKED)
    assert policy.tensors() == {}
    first = probabilities(embedder, prototypes, pixels)
    targets = Targets.as_given(given)
    targets = policy.update(predict(embedder, prototypes, pixels), given, targets, 0.3)
    torch.testing.assert_close(policy.tensors()["mean"], first.half())
    with torch.no_grad():
        prototypes.weight.neg_()
    second = probabilities(embedder, prototypes, pixels)
    restored = NeighborAgreementPolicy(K, ASKED)
    restored.restore(policy.tensors())
    for one in (policy, restored):
        one.update(predict(embedder, prototypes, pixels), given, targets, 0.4)
        torch.testing.assert_close(
            one.tensors()["mean"], (0.7 * first + 0.3 * second).half(), rtol=2e-3, atol=1e-3
        )


@pytest.mark.parametrize(("progress", "relabelled"), [(0.49, False), (0.5, True)])
def test_labels_are_replaced_from_their_time_on(progress: float, relabelled: bool) -> None:
    # The sixth tile has label 1, but the embedding and the probabilities of those of class 0.
    given = torch.tensor([0, 0, 0, 0, 0, 1, 1, 1])
    looks = torch.tensor([0, 0, 0, 0, 0, 0, 1, 1])
    predictions = Predictions(
        torch.eye(2)[looks], torch.tensor([[0.95, 0.05], [0.05, 0.95]])[looks].log()
    )
    policy = NeighborAgreementPolicy(K, ASKED)
    targets = policy.update(predictions, given, Targets.as_given(given), progress)
    assert targets.weights.tolist() == [1, 1, 1, 1, 1, float(relabelled), 1, 1]
    assert targets.labels.tolist() == (looks if relabelled else given).tolist()


def test_updates_can_take_part_in_a_training_step(
    embedder: Embedder, prototypes: Prototypes, pixels: NDArray[np.uint8]
) -> None:
    given = torch.arange(7) % 3
    policy = NeighborAgreementPolicy(K, ASKED)
    predictions = predict(embedder, prototypes, pixels)
    targets = policy.update(predictions, given, Targets.as_given(given), progress=1.0)
    log_p = prototypes(torch.nn.functional.normalize(torch.ones(7, 8), dim=1))
    (log_p.gather(1, targets.labels[:, None]).squeeze(1) * targets.weights).sum().backward()
    assert prototypes.weight.grad is not None
