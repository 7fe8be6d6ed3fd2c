"""What a person's decisions bring: labels are reviewed in rounds, and then trained on.

A scripted reviewer, who errs in 2 % of the decisions, looks at 100 labels a round, which the audit
chooses. Prints how many wrong labels each round finds and leaves, beside the audit's estimate and
its 95 % interval. Stops with an error if a label is asked about twice. Then trains anew on the
reviewed labels, and on those that `audit-labels --fixed-labels` writes without a reviewer, and
prints the mAP of the test tiles. Finished trainings are kept; `audit_loop.py` compares more ways.

    python benchmarks/review_rounds.py --data DATA --weights FILE --epochs 4 --seeds 3
"""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from pathlib import Path
from statistics import mean
from typing import Annotated

import typer
from grid import options
from grid.cells import CELL_COLUMNS, Cell, Dataset, Method
from grid.data import Place, cell_tiles
from grid.fixing import Gain, Mending, gain_by
from grid.kept_rows import KeptRows
from grid.noises import Noise
from grid.reviewing import Reviewer, review_in_rounds
from grid.training import trained_model

from rsretrieve.audit.evidence.from_model import ModelEvidence

FIGURES = tuple(field.name for field in fields(Gain))
COMPARED = (Mending.FIXED, Mending.REVIEWED)


def print_rounds(cell: Cell, place: Place) -> None:
    """A line for every round of a cell."""
    tiles = cell_tiles(cell, place, lambda other: trained_model(other, place))
    source = ModelEvidence(trained_model(cell, place))
    for each in review_in_rounds(tiles.train, source, Reviewer(tiles.true_labels, cell.seed)):
        low, high = each.estimate.interval
        expected = each.estimate.expected
        estimate = "cannot be determined" if expected is None else f"{expected:.0f}"
        covers = "yes" if low <= each.left <= high else "no"
        print(
            f"| {cell.seed} | {each.number} | {each.found} | {each.left} | {estimate} "
            f"| {low} to {high} | {covers} |",
            flush=True,
        )


def print_gains(kept: KeptRows, cells: list[Cell]) -> None:
    """A line for every seed, and the mean."""
    print("| labels | " + " | ".join(f"seed {cell.seed}" for cell in cells) + " | mean | wrong |")
    print("|" + "---|" * (len(cells) + 3))
    for mending in COMPARED:
        rows = [kept.rows[*cell.key, str(mending)] for cell in cells]
        maps, wrong = ([float(row[name]) for row in rows] for name in ("map", "wrong"))
        figures = " | ".join(f"{value:.4f}" for value in (*maps, mean(maps), mean(wrong)))
        print(f"| {mending} | {figures} |")


def main(
    dataset: Annotated[Dataset, typer.Option()] = Dataset.UC_MERCED,
    size: options.Size = 64,
    rate: Annotated[float, typer.Option(min=0, max=1)] = 0.2,
    backbone: Annotated[str, typer.Option()] = "mobilenet_v2",
    epochs: options.Epochs = 4,
    seeds: Annotated[int, typer.Option(min=1)] = 3,
    data: options.DataFolder = options.DATA,
    weights: options.Weights = "imagenet",
    work: options.Work = options.WORK,
    results: Annotated[Path, typer.Option(help="CSV of finished trainings.")] = (
        options.RESULTS / "audit_loop.csv"
    ),
    device: options.Device = "auto",
) -> None:
    """Review and train, and print both tables."""
    kept = KeptRows(results, (*CELL_COLUMNS, "labels"), FIGURES)
    place = Place(data, weights, work, device)
    first = Cell(dataset, size, Noise.UNIFORM, rate, Method.ROBUST, backbone, epochs, seed=0)
    cells = [replace(first, seed=seed) for seed in range(seeds)]
    print("| seed | round | found | left | estimate | 95 % interval | covers |")
    print("|---|---|---|---|---|---|---|")
    for cell in cells:
        print_rounds(cell, place)
        for mending in COMPARED:
            key = (*cell.key, str(mending))
            if key not in kept.rows:
                kept.keep(key, asdict(gain_by(mending, cell, place)))
    print_gains(kept, cells)


if __name__ == "__main__":
    typer.run(main)
