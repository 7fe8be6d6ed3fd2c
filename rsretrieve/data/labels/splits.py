"""Split tiles into parts, class by class, by a seed and independent of their order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from math import floor

from rsretrieve._core.seeded_random import hash_uniform
from rsretrieve.data.tile import TileSet
from rsretrieve.errors import InvalidArgument


def split_per_class(
    tiles: TileSet,
    fractions: Sequence[float],
    seed: int,
    *,
    confirmed_first: bool = False,
    even: bool = False,
) -> list[TileSet]:
    """Split the tiles of each class into parts.

    Each class is shuffled by `seed` and the tiles' ids alone and cut at the cumulated
    fractions, rounded; its first tile goes to the first part. Tiles without a label form a
    class of their own. If the fractions sum to less than 1, the remaining tiles are left out.

    Args:
        tiles: the tiles.
        fractions: the share of each part, positive, summing to at most 1.
        seed: any integer; the same seed gives the same parts.
        confirmed_first: tiles whose label a person confirmed go to the first parts.
        even: classes are rounded up or down by the seed and their label, so that small classes
            together come near the fractions. Otherwise all classes of one size are cut alike.

    Returns:
        One `TileSet` a fraction, each in the order of `tiles`.

    Raises:
        InvalidArgument: fractions that are not positive or sum to more than 1.
    """
    check_fractions(fractions)
    classes: dict[str | None, list[int]] = defaultdict(list)
    for position, tile in enumerate(tiles):
        classes[tile.label].append(position)
    parts: list[list[int]] = [[] for _ in fractions]
    for label, members in classes.items():
        members.sort(key=lambda i: (hash_uniform(seed, "split", tiles[i].id), tiles[i].id))
        if confirmed_first:
            members.sort(key=lambda i: tiles[i].confirmed is None)
        rounding = hash_uniform(seed, "rounding of a split", label or "") if even else None
        for part, positions in zip(parts, _cut(members, fractions, rounding)):
            part.extend(positions)
    return [tiles.select(sorted(part)) for part in parts]


def check_fractions(fractions: Sequence[float]) -> None:
    """Refuse fractions that are not positive or sum to more than 1.

    Raises:
        InvalidArgument: they are such.
    """
    if not (fractions and min(fractions) > 0 and sum(fractions) <= 1 + 1e-9):  # nor NaN
        raise InvalidArgument(
            f"fractions must be positive and sum to at most 1, not {list(fractions)}"
        )


def _cut(members: list[int], fractions: Sequence[float], rounding: float | None) -> list[list[int]]:
    """Cut a class; `rounding` in 0…1 is the share of a tile that rounds up, None for a half."""
    cuts, reached = [0], 0.0
    for fraction in fractions:
        reached += fraction
        exact = reached * len(members)
        whole = round(exact) if rounding is None else floor(exact + rounding + 1e-9)
        cuts.append(max(1, whole))
    return [members[start:stop] for start, stop in pairwise(cuts)]
