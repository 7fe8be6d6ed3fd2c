"""Auditing labels: ours and others' on the same tiles, labels and vectors, as one table.

Cells are those of `noise_robustness.py`, and so are the trained models, taken from the same
folder where they are; with --train those that are missing are trained first (minutes to
an hour each). Where there is no model, ours audits the starting network's features, as
`audit-labels --embeddings` does. Finished rows are kept in a CSV and never computed again.

    python benchmarks/audit.py --data DATA --weights FILE --work build/grid
    python benchmarks/audit.py --table               what is finished
    python benchmarks/audit.py --reliability uniform 0.3 …    how far our probabilities hold there
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from grid import options
from grid.audit_results import AuditResults, audit_table, reliability_table
from grid.auditing import audited, our_probabilities
from grid.cells import Cell, Dataset, Method
from grid.data import CellTiles, Place, cell_folder, cell_tiles, model_that_errs
from grid.running import trained_model

from rsretrieve.enums import NoiseKind
from rsretrieve.network.metadata import DESCRIPTION_FILE

NOISES = (
    *((NoiseKind.UNIFORM, rate) for rate in (0.0, 0.1, 0.3, 0.5)),
    (NoiseKind.TABLE, 0.3),
    (NoiseKind.INSTANCE, 0.2),
)


def cells_of(datasets: list[Dataset], seeds: list[int], start: Cell) -> list[Cell]:
    """Every noise, of each data set and seed."""
    return [
        replace(start, dataset=dataset, seed=seed, noise=noise, rate=rate)
        for dataset in datasets
        for seed in seeds
        for noise, rate in NOISES
    ]


def run(cells: list[Cell], place: Place, results: AuditResults, *, train: bool) -> None:
    """Audit each cell by those whose rows are missing."""
    for cell in cells:
        tiles = tiles_to_audit(cell, place, train=train)
        if tiles is None:
            continue
        for auditor, basis, measure in audited(cell, tiles, place):
            if (cell, auditor, basis) not in results:
                results.add(cell, auditor, basis, measure())
                print(f"{' '.join(cell.key)}: {auditor} on {basis}", file=sys.stderr, flush=True)


def tiles_to_audit(cell: Cell, place: Place, *, train: bool) -> CellTiles | None:
    """A cell's tiles; None where its noise takes a model that is missing and is not trained."""
    errs = model_that_errs(cell)
    needs = errs if cell.noise is NoiseKind.INSTANCE else None
    if needs and not train and not (cell_folder(needs, place) / DESCRIPTION_FILE).exists():
        print(f"left out, no model that errs: {cell.key}", file=sys.stderr)
        return None
    if train:
        trained_model(cell, place)
    return cell_tiles(cell, place, lambda other: trained_model(other, place))


def main(
    dataset: Annotated[list[Dataset], typer.Option()] = [Dataset.UC_MERCED],  # noqa: B006
    seed: Annotated[list[int], typer.Option(min=0)] = [0],  # noqa: B006
    size: options.Size = 64,
    method: Annotated[Method, typer.Option(help="The training whose models are taken.")] = (
        Method.ROBUST
    ),
    epochs: options.Epochs = 40,
    train: Annotated[bool, typer.Option("--train", help="Train models that are missing.")] = False,
    reliability: Annotated[
        tuple[NoiseKind, float] | None,
        typer.Option(
            metavar="NOISE RATE",
            help="Print the reliability curve of ours in this cell of the first data set and seed, "
            "and nothing else.",
        ),
    ] = None,
    table: options.Table = False,
    data: options.DataFolder = options.DATA,
    weights: options.Weights = "imagenet",
    work: options.Work = options.WORK,
    results: Annotated[Path, typer.Option(help="CSV of finished rows.")] = (
        options.RESULTS / "audit.csv"
    ),
    device: options.Device = "auto",
) -> None:
    """Audit by everybody what is not finished, and print one table."""
    kept = AuditResults(results)
    start = Cell(dataset[0], size, NoiseKind.UNIFORM, 0.0, method, "mobilenet_v2", epochs, 0)
    place = Place(data, weights, work, device)
    if reliability is not None:
        noise, rate = reliability
        cell = replace(start, seed=seed[0], noise=noise, rate=rate)
        if (tiles := tiles_to_audit(cell, place, train=train)) is not None:
            print(reliability_table(*our_probabilities(cell, tiles, place)))
        return
    if not table:
        run(cells_of(dataset, seed, start), place, kept, train=train)
    print(audit_table(list(kept.rows.values())))


if __name__ == "__main__":
    typer.run(main)
