"""The result of a comparison: figures of choices, their differences, and the verdict."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from rsretrieve.comparison.choice import Cell, Contrast, TrainingChoice
from rsretrieve.comparison.paired_difference import (
    CONFIDENCE,
    PairedDifference,
    paired_difference,
)
from rsretrieve.comparison.test_set import METRICS, QueryValues
from rsretrieve.comparison.verdict import Judged, metric_name, overall


@dataclass(frozen=True)
class CellResult:
    """The figures of one cell.

    Attributes:
        cell: the choice and the seed.
        model: its model folder.
        values: the figures of its queries.
        seconds: of the training's epochs.
        gallery: how many tiles its queries searched.
    """

    cell: Cell
    model: Path
    values: QueryValues
    seconds: float
    gallery: int = 0


@dataclass(frozen=True)
class ChoiceSummary:
    """The figures of one choice over its seeds.

    Attributes:
        name: the varied values.
        seeds: the seeds that were trained.
        mean: of each figure of `METRICS`, over seeds and queries.
        by_seed: of the compared figure.
        reach: half-width of the 95 % t-interval of its mean over seeds; NaN with one seed.
    """

    name: str
    seeds: tuple[int, ...]
    mean: dict[str, float]
    by_seed: tuple[float, ...]
    reach: float


@dataclass(frozen=True)
class Comparison:
    """Trained and measured choices.

    Made by `compare`.

    Attributes:
        output: the folder of the comparison.
        choices: what was compared.
        results: the figures of all finished cells.
        contrasts: which choices are compared.
        metric: the figure that is compared.
        detected: the difference that should be detected.
        gallery: how many tiles are searched: those that could be read.
        alone: whether the test tiles search each other.

    Example:
        >>> import rsretrieve
        >>> lists = rsretrieve.split("tiles", (0.5, 0.1, 0.4))
        >>> quick = {"size": 32, "backbone": "squeezenet1_1", "weights": "none", "epochs": 0}
        >>> found = rsretrieve.compare(
        ...     lists.train, "sizes", test=lists.test, vary={"dimensions": [8, 64]}, seeds=2,
        ...     **quick,
        ... )
        >>> [one.name for one in found.summaries], len(found.queries)
        (['dimensions=8', 'dimensions=64'], 57)
        >>> found.to_json()["verdict"] == found.verdict
        True
        >>> found.cell_row(found.results[0])["dimensions"]
        '8'
    """

    output: Path
    choices: tuple[TrainingChoice, ...]
    results: tuple[CellResult, ...]
    contrasts: tuple[Contrast, ...]
    metric: str
    detected: float
    gallery: int
    alone: bool

    @cached_property
    def queries(self) -> tuple[str, ...]:
        """The queries that every model answered, sorted."""
        found = [set(result.values.ids) for result in self.results]
        return tuple(sorted(set.intersection(*found))) if found else ()

    @cached_property
    def judged(self) -> tuple[Judged, ...]:
        """Each comparison of two choices."""
        names = [choice.name for choice in self.choices]
        return tuple(
            Judged(
                names[pair.choice],
                names[pair.baseline],
                self._difference(pair),
                self.metric,
                self.detected,
            )
            for pair in self.contrasts
        )

    @property
    def verdict(self) -> str:
        """Which choices are better, in sentences."""
        return overall(self.judged)

    @cached_property
    def summaries(self) -> tuple[ChoiceSummary, ...]:
        """The figures of each choice."""
        return tuple(self._summary(i) for i in range(len(self.choices)))

    @property
    def notices(self) -> tuple[str, ...]:
        """What limits the comparison."""
        found = []
        asked = {tile for result in self.results for tile in result.values.ids}
        if left_out := len(asked) - len(self.queries):
            found.append(f"{left_out} queries were not answered by every model and do not count")
        if len(sizes := sorted({result.gallery for result in self.results})) > 1:
            found.append(f"the models searched different numbers of tiles: {sizes[0]}…{sizes[-1]}")
        for pair in self.contrasts:
            one, other = self._seeds(pair.baseline), self._seeds(pair.choice)
            if one ^ other:
                found.append(
                    f"only the seeds that both {self.choices[pair.choice].name} and "
                    f"{self.choices[pair.baseline].name} finished are compared: a training that "
                    "fails does not count against its choice"
                )
        return tuple(dict.fromkeys(found))

    def to_json(self) -> dict[str, Any]:
        """As JSON values; the object that `compare --json` prints."""
        return {
            "output": str(self.output),
            "metric": self.metric,
            "queries": len(self.queries),
            "gallery": self.gallery,
            "gallery_tiles": "test tiles" if self.alone else "gallery",
            "verdict": self.verdict,
            "differences": [_difference_json(one) for one in self.judged],
            "choices": [
                {
                    "choice": one.name,
                    "values": dict(choice.values),
                    "seeds": list(one.seeds),
                    "mean": one.mean,
                    "by_seed": list(one.by_seed),
                    "reach": one.reach if math.isfinite(one.reach) else None,
                }
                for one, choice in zip(self.summaries, self.choices)
            ],
            "cells": [self.cell_row(result) for result in self.results],
        }

    def cell_row(self, result: CellResult) -> dict[str, Any]:
        """A row of `table.csv`: the varied values, the figures and the command of a cell."""
        figures = self._matrix([result]).mean(axis=(0, 1))
        return {
            **dict(result.cell.choice.values),
            "seed": result.cell.seed,
            **dict(zip(METRICS, map(float, figures))),
            "seconds": result.seconds,
            "model": str(result.model),
            "command": command_of(result.model),
        }

    def _seeds(self, choice: int) -> set[int]:
        wanted = self.choices[choice].values
        return {r.cell.seed for r in self.results if r.cell.choice.values == wanted}

    def _of(self, choice: int, seeds: set[int]) -> list[CellResult]:
        wanted = self.choices[choice].values
        found = [r for r in self.results if r.cell.choice.values == wanted]
        return sorted((r for r in found if r.cell.seed in seeds), key=lambda r: r.cell.seed)

    def _matrix(self, results: list[CellResult]) -> NDArray[np.float64]:
        """(S, Q, M) the figures of the common queries."""
        found = []
        for result in results:
            row_of = {tile: row for row, tile in enumerate(result.values.ids)}
            found.append(result.values.values[[row_of[tile] for tile in self.queries]])
        return np.array(found, np.float64).reshape(len(results), len(self.queries), len(METRICS))

    def _difference(self, pair: Contrast) -> PairedDifference | None:
        seeds = self._seeds(pair.baseline) & self._seeds(pair.choice)
        if min(len(seeds), len(self.queries)) < 2:
            return None
        column = METRICS.index(self.metric)
        one, other = (
            self._matrix(self._of(choice, seeds))[:, :, column]
            for choice in (pair.baseline, pair.choice)
        )
        level = 1 - (1 - CONFIDENCE) / len(self.contrasts)
        return paired_difference(one, other, confidence=level)

    def _summary(self, choice: int) -> ChoiceSummary:
        results = self._of(choice, self._seeds(choice))
        values = self._matrix(results)
        reach, count = math.nan, len(results)
        by_seed = values[:, :, METRICS.index(self.metric)].mean(axis=1) if count else np.empty(0)
        if count > 1:
            t = float(stdtrit(count - 1, (1 + CONFIDENCE) / 2))
            reach = t * float(by_seed.std(ddof=1)) / math.sqrt(count)
        means = values.mean(axis=(0, 1)) if count else np.full(len(METRICS), math.nan)
        return ChoiceSummary(
            name=self.choices[choice].name,
            seeds=tuple(result.cell.seed for result in results),
            mean={name: float(mean) for name, mean in zip(METRICS, means) if count},
            by_seed=tuple(by_seed.tolist()),
            reach=reach,
        )


def command_of(model: Path) -> str:
    """The command that makes the model of a cell alone."""
    import shlex

    return shlex.join(
        ["rsretrieve", "train", "--config", str(model / "config.toml"), "--output", "NEW"]
    )


def _difference_json(one: Judged) -> dict[str, Any]:
    found = one.difference
    return {
        "choice": one.choice,
        "baseline": one.baseline,
        "metric": metric_name(one.metric),
        "difference": None if found is None else found.estimate,
        "low": None if found is None else found.low,
        "high": None if found is None else found.high,
        "confidence": None if found is None else found.confidence,
        "by_seed": None if found is None else list(found.by_seed),
        "shown": found is not None and found.is_shown,
        "seeds_for": None if found is None else found.seeds_for(one.detected),
        "detected": one.detected,
        "sentence": one.sentence,
    }
