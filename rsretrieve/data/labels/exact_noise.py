"""Label noise in exact counts: the tiles are drawn, their number is not."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

from rsretrieve._core.seeded_random import hash_uniform
from rsretrieve.data.tile import TileSet

Transitions = Mapping[str, Mapping[str, float]]
_IS_WRONG, _TARGET_CLASS = "exact noise: is wrong", "exact noise: target class"


def exactly_by_table(
    tiles: TileSet, rate: float, transitions: Transitions, seed: int
) -> dict[str, str]:
    """Replace the share `rate` of the labels of each class, and share them out by a table.

    Of N tiles, rate · N (rounded) get another label. Counts of classes, and in each class those of
    the wrong labels, differ from their exact shares by less than one tile.

    Args:
        tiles: the tiles; those without a label are left out.
        rate: 0…1.
        transitions: for every class, the shares of its wrong labels, which sum to 1.
        seed: any integer.

    Returns:
        tile id → label.
    """
    labels = {tile.id: str(tile.label) for tile in tiles.labelled()}
    classes: dict[str, list[str]] = defaultdict(list)
    for tile_id, label in labels.items():
        classes[label].append(tile_id)
    counts = shared_out(round(rate * len(labels)), {c: len(ids) for c, ids in classes.items()})
    for name, count in counts.items():
        wrong = _in_random_order(classes[name], seed, _IS_WRONG)[:count]
        targets = shared_out(count, transitions[name]) if count else {}
        drawn = [target for target, number in targets.items() for _ in range(number)]
        labels |= dict(zip(_in_random_order(wrong, seed, _TARGET_CLASS), drawn))
    return labels


def exactly_by_weights(
    ids: Sequence[str], probabilities: Sequence[float], rate: float, seed: int
) -> set[str]:
    """Draw rate · N (rounded) of N tiles without replacement, more probable ones more often.

    Args:
        ids: N ids.
        probabilities: their weights, not negative.
        rate: 0…1.
        seed: any integer.
    """
    keys = {
        # Efraimidis and Spirakis 2006: the largest u^(1/w), here as logarithms.
        tile_id: math.log(max(hash_uniform(seed, _IS_WRONG, tile_id), 1e-300)) / weight
        for tile_id, weight in zip(ids, probabilities)
        if weight > 0
    }
    return set(sorted(keys, key=lambda tile_id: -keys[tile_id])[: round(rate * len(ids))])


def shared_out(total: int, weights: Mapping[str, float]) -> dict[str, int]:
    """Share out a number by weights (largest remainders).

    >>> shared_out(5, {"a": 2.0, "b": 1.0, "c": 1.0})
    {'a': 3, 'b': 1, 'c': 1}
    """
    whole = sum(weights.values())
    exact = {name: total * weight / whole for name, weight in weights.items()}
    counts = {name: math.floor(share + 1e-9) for name, share in exact.items()}
    by_remainder = sorted(exact, key=lambda name: (counts[name] - exact[name], name))
    for name in by_remainder[: total - sum(counts.values())]:
        counts[name] += 1
    return counts


def _in_random_order(ids: Sequence[str], seed: int, purpose: str) -> list[str]:
    return sorted(ids, key=lambda tile_id: (hash_uniform(seed, purpose, tile_id), tile_id))
