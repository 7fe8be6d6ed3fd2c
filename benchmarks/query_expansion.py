"""What alpha query expansion gains and loses: leave-one-out over labelled indexes.

    python -m benchmarks.query_expansion INDEX…

Each tile of an index is a query for the others. The table shows for each index the mAP without and
with expansion (10 neighbours, α = 3, as in `query --expand`), the mean change of the average
precision with its 95 % bootstrap interval over the queries, the share of the queries that lose, the
first percentile of the change and the worst loss; then the same of the precision among the first
10 hits. `--others` adds other numbers of neighbours and exponents.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rsretrieve.data.run_context import RunContext
from rsretrieve.evaluation.gallery import Gallery, labelled_gallery
from rsretrieve.evaluation.retrieval_metrics import LabelledVectors, measure_queries
from rsretrieve.index.store.folder import open_index
from rsretrieve.search.expansion import EXPONENT, NEIGHBOURS, expanded_queries

DRAWS, SEED = 2000, 0
PRECISION_AT_10 = 4  # the column of `QueryFigures.values`
OTHERS = ((3, 3.0), (5, 3.0), (20, 3.0), (50, 3.0), (10, 0.0), (10, 1.0), (10, 6.0))

Floats = NDArray[np.float64]


def per_query(gallery: Gallery, queries: NDArray[np.float32]) -> Floats:
    """(Q, 2) average precision and P@10 of each tile as a query."""
    _, classes = np.unique(gallery.labels, return_inverse=True)
    asked = LabelledVectors(queries, classes.astype(np.int64))
    searched = LabelledVectors(gallery.vectors, asked.labels)
    values = measure_queries(asked, searched, np.arange(len(classes))).values
    return np.asarray(values[:, [0, PRECISION_AT_10]])


def interval(changes: Floats) -> tuple[float, float]:
    """The 95 % bootstrap interval of a mean."""
    chance = np.random.default_rng(SEED)
    means = [chance.choice(changes, len(changes)).mean() for _ in range(DRAWS)]
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def rows_of(index: Path, *, others: bool) -> Iterator[str]:
    """The rows of the table for one index."""
    gallery = labelled_gallery(open_index(index), None, RunContext())
    plain = per_query(gallery, gallery.vectors)
    own = np.arange(len(gallery.labels))
    for neighbours, exponent in ((NEIGHBOURS, EXPONENT), *OTHERS * others):
        queries = expanded_queries(gallery.vectors, gallery.vectors, own, neighbours, exponent)
        found = per_query(gallery, queries)
        cells = [f"{index.name} | {len(own):,} | {neighbours} | {exponent:g}"]
        for column in (0, 1):
            change = found[:, column] - plain[:, column]
            low, high = interval(change)
            cells.append(
                f"{plain[:, column].mean():.3f} | {found[:, column].mean():.3f} | "
                f"{change.mean():+.4f} ({low:+.4f} … {high:+.4f}) | {(change < 0).mean():.0%} | "
                f"{np.quantile(change, 0.01):+.3f} | {change.min():+.3f}"
            )
        yield f"| {' | '.join(cells)} |"


def main(arguments: list[str]) -> None:
    """Print the table."""
    figures = "without | with | mean change (95 %) | lose | 1st percentile | worst"
    print(f"| index | queries | k | α | mAP {figures} | P@10 {figures} |")
    print("|" + "---|" * 16)
    for name in (argument for argument in arguments if argument != "--others"):
        for row in rows_of(Path(name), others="--others" in arguments):
            print(row, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
