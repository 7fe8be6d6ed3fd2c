"""Corrupt labels: uniform, label-dependent and instance-dependent noise.

The kinds and the published transition tables are those of Kang et al. (2020), DOI
10.1109/TGRS.2020.3042607; instance-dependent noise is ours. Every draw depends on the seed
and the tile's id alone, not on the order of tiles or on the other tiles. One exception: the scale
of instance-dependent noise is set over all tiles.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rsretrieve._core.seeded_random import hash_uniform
from rsretrieve._core.tables import read_table
from rsretrieve._core.text import some_of
from rsretrieve.data.labels.class_names import clean_label
from rsretrieve.data.labels.exact_noise import exactly_by_table, exactly_by_weights
from rsretrieve.data.tile import TileSet
from rsretrieve.errors import InvalidArgument, LabelsError

Transitions = Mapping[str, Mapping[str, float]]
"""True class → wrong class → its share among the wrong labels of the true class."""

# What a draw decides is part of its hash. These texts must stay: with others, the same seed would
# corrupt other labels than in earlier versions.
_IS_WRONG, _TARGET_CLASS = "noise: whether", "noise: whither"
PUBLISHED_TABLES = ("aid", "nwpu-resisc45")


def corrupt_uniformly(
    tiles: TileSet, rate: float, seed: int, *, exact: bool = False
) -> dict[str, str]:
    """Replace labels with probability `rate` by a class drawn uniformly from the others.

    A label stays with probability 1 − η and becomes each of the K − 1 other classes with
    probability η / (K − 1).

    Args:
        tiles: the tiles; those without a label are left out.
        rate: η, 0…1.
        seed: any integer.
        exact: exactly this share is wrong; see `exactly_by_table`.

    Returns:
        tile id → label, for the tiles that have a label.

    Raises:
        InvalidArgument: a rate outside 0…1.
        LabelsError: fewer than two classes.
    """
    names = _at_least_two_classes(tiles)
    shares = {name: {other: 1.0 for other in names if other != name} for name in names}
    return corrupt_by_table(tiles, rate, _normalised(shares), seed, exact=exact)


def corrupt_by_table(
    tiles: TileSet, rate: float, transitions: Transitions, seed: int, *, exact: bool = False
) -> dict[str, str]:
    """Replace labels with probability `rate` by classes drawn from a transition table.

    Args:
        tiles: the tiles; those without a label are left out.
        rate: η, 0…1.
        transitions: for every class of the tiles, the shares of its wrong labels, which sum to 1.
        seed: any integer.
        exact: exactly this share is wrong; see `exactly_by_table`.

    Returns:
        tile id → label.

    Raises:
        InvalidArgument: a rate outside 0…1.
        LabelsError: fewer than two classes; or the table has no row for a class of the tiles, no
            wrong class for one of them, or names a class that the tiles do not have.
    """
    _check_rate(rate)
    _at_least_two_classes(tiles)
    _check_covers(transitions, tiles)
    if exact:
        return exactly_by_table(tiles, rate, transitions, seed)
    labels = {}
    for tile in tiles.labelled():
        label = str(tile.label)
        if hash_uniform(seed, _IS_WRONG, tile.id) < rate:
            label = _drawn(transitions[label], hash_uniform(seed, _TARGET_CLASS, tile.id))
        labels[tile.id] = label
    return labels


def corrupt_by_instance(
    tiles: TileSet,
    rate: float,
    similarities: NDArray[np.float32],
    class_names: Sequence[str],
    seed: int,
    *,
    softness: float = 0.1,
    exact: bool = False,
) -> dict[str, str]:
    """Replace labels of tiles that resemble another class by that class.

    The confusability c_i of tile i is its highest similarity to another class's mean minus its
    similarity to its own class's mean. Its label becomes that other class with probability
    min(1, a·exp(c_i / τ)), where a makes the mean probability η.

    Args:
        tiles: the tiles, all with a label out of `class_names`.
        rate: η, 0…1.
        similarities: (N, K), each tile's cosine similarity to each class's mean.
        class_names: the K classes, in the order of the columns.
        seed: any integer.
        softness: τ, the temperature: higher values spread the errors over more tiles.
        exact: exactly this share is wrong: as many tiles are drawn without replacement.

    Returns:
        tile id → label.

    Raises:
        InvalidArgument: a rate outside 0…1.
        LabelsError: fewer than two classes.
    """
    _check_rate(rate)
    _at_least_two_classes(tiles)
    own = np.array([class_names.index(str(tile.label)) for tile in tiles])
    rows = np.arange(len(tiles))
    others = similarities.astype(np.float64)
    own_similarity = others[rows, own]
    others[rows, own] = -np.inf
    nearest = others.argmax(axis=1)
    confusability = others[rows, nearest] - own_similarity
    probabilities = capped_to_mean(np.exp((confusability - confusability.max()) / softness), rate)
    ids = [tile.id for tile in tiles]
    if exact:
        wrong = exactly_by_weights(ids, probabilities.tolist(), rate, seed)
    else:
        wrong = {i for i, p in zip(ids, probabilities) if hash_uniform(seed, _IS_WRONG, i) < p}
    return {
        tile.id: str(class_names[near]) if tile.id in wrong else str(tile.label)
        for tile, near in zip(tiles, nearest)
    }


def capped_to_mean(weights: NDArray[np.float64], mean: float) -> NDArray[np.float64]:
    """Scale positive weights by one factor so that min(1, a·w) has the given mean.

    Args:
        weights: (N,), positive.
        mean: 0…1.

    Returns:
        (N,) probabilities.
    """
    scaled = weights * 0.0
    capped = np.zeros(len(weights), dtype=bool)
    while not capped.all():
        factor = (mean * len(weights) - capped.sum()) / weights[~capped].sum()
        scaled = np.where(capped, 1.0, weights * factor)
        over = scaled > 1
        if not over.any():
            break
        capped |= over
    return np.minimum(scaled, 1.0)


def read_transitions(table: str) -> Transitions:
    """Read a transition table (CSV with the columns `from,to,share`).

    Args:
        table: the name of a published table (`aid`, `nwpu-resisc45`), or a file's path.

    Raises:
        LabelsError: a share is not a number in 0…1, a class is its own target, or the shares of
            a class do not sum to 1.
        TableError: no such file, or a column is missing.
    """
    if table in PUBLISHED_TABLES:
        with resources.as_file(resources.files(__package__) / "transitions" / f"{table}.csv") as p:
            return _read_transitions(p)
    return _read_transitions(Path(table))


def _read_transitions(path: Path) -> Transitions:
    shares: dict[str, dict[str, float]] = defaultdict(dict)
    for line, row in read_table(path, ("from", "to", "share")):
        row = {**row, "from": clean_label(row["from"]) or "", "to": clean_label(row["to"]) or ""}
        try:
            share = float(row["share"])
        except ValueError:
            share = -1.0
        if not 0 <= share <= 1 or row["from"] == row["to"] or row["to"] in shares[row["from"]]:
            raise LabelsError(
                f"{path}: line {line} must name two different classes, each pair once, and a share "
                f"in 0…1; it is {row['from']} → {row['to']} with {row['share']}"
            )
        shares[row["from"]][row["to"]] = share
    for name, row_shares in shares.items():
        if abs(sum(row_shares.values()) - 1) > 1e-3:
            raise LabelsError(
                f"{path}: the shares of {name} sum to {sum(row_shares.values()):g}, not 1"
            )
    return _normalised(shares)


def _normalised(shares: Mapping[str, Mapping[str, float]]) -> Transitions:
    return {
        name: {other: share / sum(row.values()) for other, share in row.items()}
        for name, row in shares.items()
    }


def _drawn(shares: Mapping[str, float], uniform: float) -> str:
    """The class that a number in [0, 1) selects by the cumulated shares."""
    reached, name = 0.0, ""
    for name, share in shares.items():
        reached += share
        if uniform < reached:
            return name
    return name  # the sum of the shares is slightly below 1, by rounding


def _check_rate(rate: float) -> None:
    if not 0 <= rate <= 1:
        raise InvalidArgument(f"a noise rate must be in 0…1, not {rate}")


def _at_least_two_classes(tiles: TileSet) -> tuple[str, ...]:
    if len(tiles.class_names) < 2:
        raise LabelsError(
            f"{tiles.source}: label noise needs at least two classes, and there are "
            f"{len(tiles.class_names)}"
        )
    return tiles.class_names


def _check_covers(transitions: Transitions, tiles: TileSet) -> None:
    names = set(tiles.class_names)
    if missing := sorted(names - set(transitions)):
        raise LabelsError(
            f"the noise table has no row for {len(missing)} of the {len(names)} classes of "
            f"{tiles.source} ({some_of(missing)})",
            hint="give a table for these classes with --table FILE.csv (columns from,to,share)",
        )
    if without := sorted(name for name in names if not any(transitions[name].values())):
        raise LabelsError(
            f"the noise table has no wrong class with a share above 0 for {some_of(without)}",
            hint="the shares of a class must sum to 1",
        )
    reached = {to for name in names for to, share in transitions[name].items() if share > 0}
    if unknown := sorted(reached - names):
        raise LabelsError(
            f"the noise table names classes that {tiles.source} does not have ({some_of(unknown)})"
        )
