"""Whether the audit finds the noise rate, whatever it is, from embeddings alone.

Embeds tiles whose labels are right with a network before it learned any of them, changes labels in
several ways, and prints per way the true rate, the estimate with its interval, the average
precision of the ranking, and how many labels are fixed and how many of these rightly. Usage:

    python benchmarks/noise_rates.py TILES --weights mobilenet_v2.safetensors [--table aid]
    python benchmarks/noise_rates.py TILES --weights mobilenet_v2.safetensors --drawn 200

With --drawn: of so many sets with some of the classes, some of their tiles and a rate, all drawn at
random, in how many the interval contains the true rate.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Iterator

import numpy as np
from grid.features import Rows, features
from grid.noises import Labels, next_class, uniform
from numpy.typing import NDArray

from rsretrieve.audit.estimators.classifiers import Discriminant, NeighbourVotes, assign_folds
from rsretrieve.audit.estimators.dawid_skene import ClassifierSet, EMResult, fit_dawid_skene
from rsretrieve.audit.estimators.logistic_regression import Logistic
from rsretrieve.audit.estimators.unit_vectors import UnitRows
from rsretrieve.audit.findings import CLEAR_ODDS
from rsretrieve.audit.issue_selection import (
    FIX_PRECISION,
    IssueSelection,
    noise_concentration,
    select_fixes,
    select_issues,
)
from rsretrieve.audit.posterior import LabelPosterior, posterior_from_em
from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.labels.label_noise import corrupt_by_table, read_transitions
from rsretrieve.data.tile import TileSet
from rsretrieve.evaluation.label_error_metrics import audit_figures

_NEAR = 0.02
UNIFORM = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)


def numbers_of(tiles: TileSet, labels: Iterable[str]) -> Labels:
    """Class numbers."""
    numbers = {name: number for number, name in enumerate(tiles.class_names)}
    return np.array([numbers[label] for label in labels])


def changed_labels(tiles: TileSet, table: str | None, seed: int) -> Iterator[tuple[str, Labels]]:
    """Ways to change labels, by name."""
    true = numbers_of(tiles, (str(tile.label) for tile in tiles))
    rng = np.random.default_rng(seed)
    for rate in UNIFORM:
        yield f"uniform {rate}", uniform(true, rate, rng)
    for rate in (0.3, 0.4):
        yield f"next class {rate}", next_class(true, rate, rng)
    yield "random labels", rng.permutation(true)
    if table is not None:
        drawn = corrupt_by_table(tiles, 0.3, read_transitions(table), seed)
        yield "table 0.3", numbers_of(tiles, (drawn[tile.id] for tile in tiles))


def fitted(rows: Rows, given: Labels) -> tuple[EMResult, float]:
    """The fit from embeddings alone, and its seconds."""
    started = time.perf_counter()
    votes = NeighbourVotes.among(UnitRows(rows))
    folds = assign_folds(given, 5)
    classifiers = ClassifierSet([Discriminant(rows, folds), votes], logistic=Logistic(rows, folds))
    found = fit_dawid_skene(given, int(given.max()) + 1, classifiers)
    return found, time.perf_counter() - started


def audited(rows: Rows, given: Labels, true: Labels) -> str:
    """One line of the table."""
    found, seconds = fitted(rows, given)
    posterior, rates = posterior_from_em(found, given), found.rates
    wrong, probability = given != true, posterior.issue_probability
    figures = audit_figures(
        -posterior.margin, probability > 0.5, wrong, posterior.ranked[:, 0] == true
    )
    estimate = f"{probability.mean():.3f}" if rates.can_be_told else "cannot be determined"
    ap = "–" if figures.average_precision is None else f"{figures.average_precision:.4f}"
    fixed = fixes_of(posterior, given)
    right = (posterior.ranked[fixed, 0] == true[fixed]).mean() if fixed.any() else np.nan
    return (
        f"{wrong.mean():.3f} | {estimate} | {rates.low:.3f} to {rates.high:.3f} | {ap} | "
        f"{fixed.sum()} | {right:.3f} | {seconds:.1f}"
    )


def fixes_of(posterior: LabelPosterior, given: Labels) -> NDArray[np.bool_]:
    """The labels that `--fixed-labels` changes, of tiles that are near some class."""
    flagged = select_issues(
        posterior.issue_probability, posterior.margin, IssueSelection(), is_calibrated=True
    )
    clear = posterior.log_probability[:, 0] - posterior.log_probability[:, 1] >= np.log(CLEAR_ODDS)
    candidates = flagged & clear & (posterior.ranked[:, 0] != given)
    candidates &= posterior.rates.can_be_told
    suggested = posterior.ranked[:, 0]
    concentration = noise_concentration(posterior.expected_counts, given, suggested)
    probability = np.exp(posterior.log_probability[:, 0])
    return select_fixes(probability, candidates, FIX_PRECISION, concentration)


def drawn_cell(
    rows: Rows, true: Labels, rng: np.random.Generator
) -> tuple[str, Rows, Labels, Labels]:
    """Some classes, some of their tiles, and changed labels, all drawn at random.

    Returns:
        What was drawn, in words; the features; the given labels and the true ones.
    """
    classes = int(rng.integers(3, int(true.max()) + 2))
    chosen = rng.permutation(int(true.max()) + 1)[:classes]
    share = rng.uniform(0.3, 1)
    here = np.flatnonzero(np.isin(true, chosen) & (rng.random(len(true)) < share))
    numbers = np.searchsorted(np.sort(chosen), true[here])
    step, most = ("next class", 0.45) if rng.random() < 0.3 else ("uniform", 0.8)
    rate = rng.uniform(0, most * (1 - 1 / classes) if step == "uniform" else most)
    moved = rng.integers(1, classes, len(here)) if step == "uniform" else 1
    given = (numbers + moved * (rng.random(len(here)) < rate)) % classes
    return f"{classes} classes, {len(here)} tiles, {step} {rate:.2f}", rows[here], given, numbers


def print_drawn(rows: Rows, true: Labels, count: int, seed: int) -> None:
    """One line a set, and how many intervals contain the true rate."""
    rng = np.random.default_rng(seed)
    covered, told, near = [], [], []
    for _ in range(count):
        name, features, given, numbers = drawn_cell(rows, true, rng)
        found, _ = fitted(features, given)
        rates, rate = found.rates, float((given != numbers).mean())
        estimate = float(posterior_from_em(found, given).issue_probability.mean())
        covered.append(rates.low <= rate <= rates.high)
        told.append(rates.can_be_told)
        near.append(abs(estimate - rate) <= _NEAR)
        said = f"{estimate:.3f}" if rates.can_be_told else "cannot be determined"
        print(f"{name} | {rate:.3f} | {said} | {rates.low:.3f} to {rates.high:.3f}", flush=True)
    print(
        f"of {count}: {sum(covered)} intervals contain the true rate; {sum(told)} rates are told, "
        f"{sum(a and b for a, b in zip(told, near))} of them within {_NEAR}, "
        f"{sum(a and b for a, b in zip(told, covered))} with an interval that contains it"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tiles")
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--backbone", default="mobilenet_v2")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--table", help="A confusion table, for label-dependent noise.")
    parser.add_argument("--drawn", type=int, metavar="N", help="Draw so many sets at random.")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    tiles = find_tiles(chosen.tiles)
    order = np.random.default_rng(chosen.seed).permutation(len(tiles))
    tiles = tiles.select(order.tolist())
    rows = features(tiles, chosen.backbone, chosen.weights, chosen.size)
    true = numbers_of(tiles, (str(tile.label) for tile in tiles))
    if chosen.drawn:
        print_drawn(rows, true, chosen.drawn, chosen.seed)
        return
    print("labels | true rate | estimate | 95 % interval | average precision | fixed | rightly | s")
    for name, given in changed_labels(tiles, chosen.table, chosen.seed):
        print(f"{name} | {audited(rows, given, true)}", flush=True)


if __name__ == "__main__":
    main()
