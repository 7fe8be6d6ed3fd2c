"""Auditing labels: ours and others' on the same tiles, labels and vectors, as one table.

A cell is a data set (real, or made up), a noise, and what is audited: the features of a network
that learned no labels (`frozen`), or a model of `robust` or of the paper's training, on the tiles
that it was trained on and on others. Models are those of `noise_robustness.py`, taken from the same
folder where they are; with --train those that are missing are trained first (minutes to an hour
each). Cells without a model are counted. Finished rows are kept in a CSV and never computed again.

    python benchmarks/audit.py --data DATA --weights FILE --size 128 --method frozen
    python benchmarks/audit.py --table               what is finished
    python benchmarks/audit.py --reliability uniform 0.3 …    how far our probabilities hold there
"""

from __future__ import annotations

import itertools
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from grid import options
from grid.audit_results import AuditResults, audit_table, reliability_table
from grid.auditing import audited, audited_unseen, our_probabilities
from grid.cells import Cell, Dataset, Method
from grid.data import (
    Place,
    cell_folder,
    cell_tiles,
    model_that_audits,
    model_that_errs,
    unseen_tiles,
)
from grid.noises import Noise
from grid.training import trained_model

from rsretrieve.errors import TrainingDiverged
from rsretrieve.network.metadata import DESCRIPTION_FILE

NOISES = (
    *((Noise.UNIFORM, rate) for rate in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)),
    (Noise.TABLE, 0.3),
    (Noise.NEXT, 0.3),
    (Noise.NEXT, 0.4),
    (Noise.INSTANCE, 0.2),
    (Noise.SHIFTED, 1.0),
    (Noise.RANDOM, 1.0),
)


def cells_of(
    datasets: list[Dataset], methods: list[Method], seeds: list[int], start: Cell
) -> list[Cell]:
    """Every noise, of each data set, method and seed."""
    return [
        replace(start, dataset=dataset, method=method, seed=seed, noise=noise, rate=rate)
        for dataset, method, seed, (noise, rate) in itertools.product(
            datasets, methods, seeds, NOISES
        )
    ]


def run(cells: list[Cell], place: Place, results: AuditResults, *, train: bool) -> None:
    """Audit each cell by those whose rows are missing."""
    left_out = 0
    for cell in cells:
        if not can_run(cell, place, train=train):
            left_out += 1
            print(f"left out, no model: {' '.join(cell.key)}", file=sys.stderr, flush=True)
            continue
        tiles = cell_tiles(cell, place, lambda other: trained_model(other, place))
        found = audited(cell, tiles, place)
        if cell.method is not Method.FROZEN:
            others = unseen_tiles(cell, place, lambda other: trained_model(other, place))
            found = itertools.chain(found, audited_unseen(cell, others, place))
        for auditor, basis, measure in found:
            if (cell, auditor, basis) not in results:
                results.add(cell, auditor, basis, measure())
                print(f"{' '.join(cell.key)}: {auditor} on {basis}", file=sys.stderr, flush=True)
    if left_out:
        print(f"{left_out} of {len(cells)} cells left out: no model (see --train)", file=sys.stderr)


def can_run(cell: Cell, place: Place, *, train: bool) -> bool:
    """Whether the models that a cell takes are there, after training them if that is asked for.

    A training of random labels may end with an error. Then there is no model.
    """
    if cell.method is Method.FROZEN:
        return True
    model = model_that_audits(cell)
    needed = [model, *([model_that_errs(cell)] if cell.noise is Noise.INSTANCE else [])]
    if train:
        try:
            trained_model(model, place)
        except TrainingDiverged as error:
            print(f"not trained, {' '.join(model.key)}: {error}", file=sys.stderr, flush=True)
            return False
    return all((cell_folder(each, place) / DESCRIPTION_FILE).exists() for each in needed)


def main(
    dataset: Annotated[list[Dataset], typer.Option()] = [Dataset.UC_MERCED],  # noqa: B006
    seed: Annotated[list[int], typer.Option(min=0)] = [0],  # noqa: B006
    size: options.Size = 64,
    method: Annotated[
        list[Method],
        typer.Option(help="The training whose models are taken; frozen: embeddings alone."),
    ] = [Method.FROZEN, Method.ROBUST, Method.PAPER_T_RNSL],  # noqa: B006
    epochs: options.Epochs = 40,
    train: Annotated[bool, typer.Option("--train", help="Train models that are missing.")] = False,
    reliability: Annotated[
        tuple[Noise, float] | None,
        typer.Option(
            metavar="NOISE RATE",
            help="Print the reliability curve of ours in this cell of the first data set, method "
            "and seed, and nothing else.",
        ),
    ] = None,
    table: options.Table = False,
    data: options.DataFolder = options.DATA,
    weights: options.Weights = "imagenet",
    work: options.Work = options.WORK,
    results: Annotated[Path, typer.Option(help="CSV of finished rows.")] = (
        options.RESULTS / "audit_grid.csv"
    ),
    device: options.Device = "auto",
) -> None:
    """Audit by everybody what is not finished, and print the tables."""
    kept = AuditResults(results)
    start = Cell(dataset[0], size, Noise.UNIFORM, 0.0, method[0], "mobilenet_v2", epochs, 0)
    place = Place(data, weights, work, device)
    if reliability is not None:
        noise, rate = reliability
        cell = replace(start, seed=seed[0], noise=noise, rate=rate)
        if can_run(cell, place, train=train):
            tiles = cell_tiles(cell, place, lambda other: trained_model(other, place))
            print(reliability_table(*our_probabilities(cell, tiles, place)))
        return
    if not table:
        run(cells_of(dataset, method, seed, start), place, kept, train=train)
    print(audit_table(list(kept.rows.values())))


if __name__ == "__main__":
    typer.run(main)
