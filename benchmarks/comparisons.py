"""How often the verdict of `rsretrieve compare` is wrong, where the truth is known.

Each comparison is made up: the AP of a query with a model is the sum of a mean, an effect of the
seed and one of the query that both choices share, effects of seed and query on the difference of
the choices, and a rest. The query's effects are skewed, as APs are. Half of the pairs are equal.

A verdict is wrong if it says that one of two equal choices is better, or names the worse one. The
interval is wrong if it does not hold the true difference.

    python benchmarks/comparisons.py                 200 comparisons of two choices
    python benchmarks/comparisons.py --choices 4     of four choices: three differences each
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from rsretrieve.comparison.paired_difference import (
    CONFIDENCE,
    PairedDifference,
    paired_difference,
)

SEEDS, QUERIES = (2, 3, 5), (60, 200, 420)
SEED_SD, QUERY_SD, REST_SD = (0.002, 0.005, 0.015, 0.03), (0.0, 0.03, 0.1), (0.02, 0.1)
DIFFERENCES = (0.005, 0.01, 0.03, 0.1)
SHARED_SEED_SD, SHARED_QUERY_SD = 0.02, 0.25


@dataclass(frozen=True)
class Simulated:
    """A comparison whose truth is known.

    Attributes:
        seeds: S.
        truth: the true difference of each choice from the baseline.
        found: the differences as `compare` finds them.
    """

    seeds: int
    truth: tuple[float, ...]
    found: tuple[PairedDifference, ...]

    @property
    def is_wrong(self) -> bool:
        """Whether a verdict is false."""
        return any(
            one.is_shown and np.sign(one.estimate) != np.sign(true)
            for one, true in zip(self.found, self.truth)
        )

    @property
    def misses(self) -> bool:
        """Whether an interval does not hold the true difference."""
        return any(not one.low <= true <= one.high for one, true in zip(self.found, self.truth))

    @property
    def shown(self) -> int:
        """How many true differences are shown."""
        return sum(one.is_shown for one, true in zip(self.found, self.truth) if true)


def simulated(count: int, choices: int, seed: int) -> Iterator[Simulated]:
    """Made-up comparisons, with all numbers of seeds equally often.

    Args:
        count: how many.
        choices: of each, the baseline included.
        seed: random seed.
    """
    rng = np.random.default_rng(seed)
    for number in range(count):
        seeds, queries = SEEDS[number % len(SEEDS)], int(rng.choice(QUERIES))
        shape = (seeds, queries)
        shared = 0.7 + rng.normal(0, SHARED_SEED_SD, (seeds, 1))
        shared = shared + skewed(rng, SHARED_QUERY_SD, (1, queries))
        baseline = shared + rng.normal(0, 0.5 * REST_SD[0], shape)
        sds = float(rng.choice(SEED_SD)), float(rng.choice(QUERY_SD)), float(rng.choice(REST_SD))
        truth = tuple(
            float(rng.choice(DIFFERENCES) * rng.choice([-1, 0, 0, 1])) for _ in range(choices - 1)
        )
        others = [baseline + true + effects(rng, sds, shape) for true in truth]
        level = 1 - (1 - CONFIDENCE) / len(others)
        found = (paired_difference(baseline, one, confidence=level, seed=number) for one in others)
        yield Simulated(seeds, truth, tuple(found))


def effects(
    rng: np.random.Generator, sds: tuple[float, float, float], shape: tuple[int, int]
) -> NDArray[np.float64]:
    """(S, Q) what seeds, queries and the rest add to a difference; its mean over all is 0.

    Args:
        rng: draws them.
        sds: standard deviations of the three.
        shape: S and Q.
    """
    of_seeds = rng.normal(0, sds[0], (shape[0], 1))
    return of_seeds + skewed(rng, sds[1], (1, shape[1])) + rng.normal(0, sds[2], shape)


def skewed(rng: np.random.Generator, sd: float, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Exponential effects with the mean 0, long to either side."""
    return np.asarray((rng.exponential(sd, shape) - sd) * rng.choice([-1, 1]))


def main(
    count: Annotated[int, typer.Option(help="How many comparisons.")] = 200,
    choices: Annotated[int, typer.Option(min=2, help="Choices of each.")] = 2,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
) -> None:
    """Print how often verdicts and intervals are wrong, by the number of seeds."""
    made = list(simulated(count, choices, seed))
    print("| seeds | comparisons | wrong verdicts | wrong intervals | true differences shown |")
    print("|---|---|---|---|---|")
    for seeds in (*SEEDS, None):
        some = [one for one in made if seeds in (None, one.seeds)]
        wrong, missed = sum(one.is_wrong for one in some), sum(one.misses for one in some)
        true = sum(sum(map(bool, one.truth)) for one in some)
        print(
            f"| {seeds or 'all'} | {len(some)} | {wrong} ({wrong / len(some):.1%}) | {missed} "
            f"({missed / len(some):.1%}) | {sum(one.shown for one in some)} of {true} |"
        )


if __name__ == "__main__":
    typer.run(main)
