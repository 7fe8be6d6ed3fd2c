"""How well `find` finds all tiles of a kind, and how often its intervals hold the truth.

Every class of a labelled index is the wanted kind in turn. A simulated person gives one example and
answers three rounds of ten proposals by the labels, some of them wrongly. Precision at recall 0.8
is that of the ranking of the tiles without an answer.

    rsretrieve index AID --output index
    python benchmarks/find_them_all.py index --starts 4
    python benchmarks/find_them_all.py index --starts 4 --errors 0.02
    python benchmarks/find_them_all.py index --starts 4 --method mean   # the likeliest, by the mean
    python benchmarks/find_them_all.py --speed 1000000                  # processor seconds a round
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rsretrieve.index.store.columns import encode_column
from rsretrieve.index.store.folder import IndexStore, open_index
from rsretrieve.search.finding.find_kind import KindFinder
from rsretrieve.search.finding.find_session import Answer, FindSession, GivenExample
from rsretrieve.search.finding.kind_estimate import KindEstimate
from rsretrieve.search.finding.kind_ranking import Example, KindSearch
from rsretrieve.search.finding.proposals import Proposer
from rsretrieve.search.finding.relevance_curve import fit_curve

ROUND, RECALL = 10, 0.8
DIMENSIONS, BLOCK = 128, 1 << 16
SLACK = 0.005  # of a precision or a recall, which few tiles round


@dataclass(frozen=True)
class Task:
    """A class as the wanted kind, from one tile.

    Attributes:
        name: the class.
        wanted: (N,) bool, the tiles of the class.
        start: the row of the example.
        errors: the share of wrong answers.
        answers: their number.
    """

    name: str
    wanted: NDArray[np.bool_]
    start: int
    errors: float
    answers: int


@dataclass(frozen=True)
class Outcome:
    """The figures of one search.

    Attributes:
        precision: at recall 0.8 of the ranking of tiles without an answer.
        average_precision: of that ranking.
        positives: number of answers yes.
        estimate: of the search; None for a ranking alone.
        count, found_precision, found_recall: the truth of what is estimated.
    """

    precision: float
    average_precision: float
    positives: int
    estimate: KindEstimate | None = None
    count: int = 0
    found_precision: float = 0.0
    found_recall: float = 0.0


def main() -> None:
    """Print what was asked for."""
    given = arguments()
    if given.speed:
        measure_speed(given.speed)
    else:
        measure_searches(given)


def measure_searches(given: argparse.Namespace) -> None:
    """Print the figures of every class, and their means."""
    store = open_index(given.index)
    started = time.perf_counter()
    outcomes: list[list[Outcome]] = []
    search = KindSearch(store.vectors)
    run = by_mean if given.method == "mean" else by_find
    for name, tasks in groupby(tasks_of(store, given), lambda task: task.name):
        outcomes.append([run(store, task, search) for task in tasks])
        print(f"{name:24s} {line_of(outcomes[-1])}", flush=True)
    print(f"{'mean over classes':24s} {line_of([o for found in outcomes for o in found])}")
    print(f"{time.perf_counter() - started:.0f} s")


def arguments() -> argparse.Namespace:
    """What the user typed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("index", type=Path, nargs="?")
    parser.add_argument("--speed", type=int, metavar="ROWS", help="of made-up vectors, instead")
    parser.add_argument("--starts", type=int, default=4, help="examples a class")
    parser.add_argument("--answers", type=int, default=30)
    parser.add_argument("--errors", type=float, default=0.0, help="share of wrong answers")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--method", choices=("find", "mean"), default="find")
    return parser.parse_args()


def tasks_of(store: IndexStore, given: argparse.Namespace) -> list[Task]:
    """Every class, from several random tiles of it."""
    codes, names = encode_column(store.rows, "label")
    rng = np.random.default_rng(given.seed)
    return [
        Task(name, codes == code, int(start), given.errors, given.answers)
        for code, name in enumerate(names)
        for start in rng.choice(np.flatnonzero(codes == code), given.starts, replace=False)
    ]


def by_find(store: IndexStore, task: Task, search: KindSearch) -> Outcome:
    """The search of `rsretrieve find`."""
    manifest, ids = store.manifest, store.rows.columns.column("id")
    name = ids[task.start].as_py()
    examples = (GivenExample(name, True, name),)
    session = FindSession("", manifest.model_fingerprint, manifest.dimensions, task.start, examples)
    finder, rng = KindFinder(store, session, search=search), np.random.default_rng(task.start)
    for _ in range(task.answers // ROUND):
        rows = [proposal.row for proposal in finder.propose(ROUND)]
        said = task.wanted[rows] ^ (rng.random(len(rows)) < task.errors)
        named = zip(rows, said.tolist())
        finder.answer({ids[row].as_py(): Answer.YES if yes else Answer.NO for row, yes in named})
    decided = {*finder.session.answers}
    ranked = [row for row in finder.ranked_rows.tolist() if ids[row].as_py() not in decided]
    ranked.remove(task.start)
    found = finder.found(0.5)
    right = int(task.wanted[found.rows].sum())
    total = int(task.wanted.sum())
    return Outcome(
        *figures_of(task.wanted[ranked]),
        sum(answer is Answer.YES for answer in finder.session.answers.values()),
        found.estimate,
        total,
        right / max(len(found.rows), 1),
        right / total,
    )


def by_mean(store: IndexStore, task: Task, search: KindSearch) -> Outcome:
    """The likeliest ten each round, by the mean of positives minus half that of negatives."""
    del search  # which `find` needs
    vectors, rng = np.asarray(store.vectors), np.random.default_rng(task.start)
    said = {task.start: True}
    for _ in range(task.answers // ROUND):
        left = [row for row in order_by_mean(vectors, said) if row not in said]
        for row in left[:ROUND]:
            said[row] = bool(task.wanted[row]) ^ bool(rng.random() < task.errors)
    ranked = [row for row in order_by_mean(vectors, said) if row not in said]
    return Outcome(*figures_of(task.wanted[ranked]), sum(said.values()) - 1)


def order_by_mean(vectors: NDArray[np.float32], said: dict[int, bool]) -> list[int]:
    """All rows, the likeliest first."""
    yes = [row for row, wanted in said.items() if wanted]
    no = [row for row, wanted in said.items() if not wanted]
    query = vectors[yes].mean(axis=0) - (0.5 * vectors[no].mean(axis=0) if no else 0)
    order: list[int] = np.argsort(-(vectors @ query), kind="stable").tolist()
    return order


def measure_speed(rows: int) -> None:
    """Print processor seconds of each part of a round, over made-up vectors of 128 dimensions."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((rows // 1000 + 1, DIMENSIONS), dtype=np.float32)
    vectors = np.repeat(centres, 1000, axis=0)[:rows]
    for start in range(0, rows, BLOCK):
        block = vectors[start : start + BLOCK]
        block += 0.9 * rng.standard_normal(block.shape, dtype=np.float32)
        block /= np.linalg.norm(block, axis=1, keepdims=True)
    search, examples = KindSearch(vectors), [Example(True, vectors[0], 0)]
    said: dict[int, bool] = {}
    for number in range(4):
        clock = [time.process_time()]
        ranking = search.rank(examples)
        clock.append(time.process_time())
        ranks = np.array([ranking.own_ranks[row] for row in said], np.int64)
        curve = fit_curve(rows, ranks, np.array([*said.values()], bool))
        clock.append(time.process_time())
        proposals = Proposer(vectors, ranking, curve, {0, *said}).propose(ROUND, rng)
        clock.append(time.process_time())
        for proposal in proposals:
            said[proposal.row] = proposal.row < 1000
            examples.append(Example(said[proposal.row], vectors[proposal.row], proposal.row))
        rank, fit, propose = np.diff(clock)
        print(f"round {number}: rank {rank:.2f} s, fit {fit:.2f} s, propose {propose:.2f} s")


def figures_of(ranked: NDArray[np.bool_]) -> tuple[float, float]:
    """Precision at recall 0.8, and average precision, of tiles in the order of a ranking."""
    right = np.cumsum(ranked)
    places = np.arange(1, len(ranked) + 1)
    least = int(np.searchsorted(right, np.ceil(RECALL * right[-1])))
    return float(right[least] / places[least]), float((right / places)[ranked].mean())


def line_of(found: list[Outcome]) -> str:
    """Means, and the share of intervals that hold the truth."""
    mean = [np.mean([getattr(o, n) for o in found]) for n in ("precision", "average_precision")]
    text = f"P@R0.8 {mean[0]:.3f}  AP {mean[1]:.3f}"
    text += f"  yes {np.mean([o.positives for o in found]):.1f}"
    estimated = [(o, o.estimate) for o in found if o.estimate is not None]
    if not estimated:
        return text
    held = np.mean([e.count.low <= o.count <= e.count.high for o, e in estimated])
    width = np.median([(e.count.high - e.count.low) / o.count for o, e in estimated])
    ratio = np.median([e.count.value / o.count for o, e in estimated])
    held_precision = np.mean([holds(e.precision, o.found_precision) for o, e in estimated])
    held_recall = np.mean([holds(e.recall, o.found_recall) for o, e in estimated])
    precision, recall = (
        np.mean([getattr(o, name) for o, _ in estimated])
        for name in ("found_precision", "found_recall")
    )
    return (
        f"{text}  count held {held:.3f} of {len(estimated)} (width {width:.2f}, median "
        f"{ratio:.2f} of the truth)  found: precision {precision:.2f} (held {held_precision:.2f}), "
        f"recall {recall:.2f} (held {held_recall:.2f})"
    )


def holds(estimate: object, truth: float) -> bool:
    """Whether an interval holds the truth."""
    low, high = (getattr(estimate, end) for end in ("low", "high"))
    return bool(low - SLACK <= truth <= high + SLACK)


if __name__ == "__main__":
    main()
