"""Does mending labels by an audit make the next training better?

Trains on noisy labels (or takes the cell of `noise_robustness.py` from the same folder),
audits them, and trains again by the same recipe twice: on the labels that
`audit-labels --fixed-labels` writes, and without the flagged tiles. Finished rows are kept.

    python benchmarks/audit_loop.py --data DATA --weights FILE --noise uniform --rate 0.3
    python benchmarks/audit_loop.py --table          what is finished
"""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path
from typing import Annotated

import typer
from grid import options
from grid.cells import CELL_COLUMNS, Cell, Dataset, Method
from grid.data import Place
from grid.fixing import Gain, Mending, gain_by
from grid.kept_rows import KeptRows
from grid.noises import Noise

FIGURES = tuple(field.name for field in fields(Gain))


def table_of(kept: KeptRows) -> str:
    """Every finished row."""
    columns = (*kept.keys, *kept.figures)
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    rows = (" | ".join(row[name] for name in columns) for row in kept.rows.values())
    return "\n".join([*lines, *(f"| {row} |" for row in rows)])


def main(
    dataset: Annotated[Dataset, typer.Option()] = Dataset.UC_MERCED,
    size: options.Size = 64,
    noise: Annotated[Noise, typer.Option()] = Noise.UNIFORM,
    rate: Annotated[float, typer.Option(min=0, max=1)] = 0.3,
    method: Annotated[Method, typer.Option(help="Of both trainings.")] = Method.ROBUST,
    backbone: Annotated[str, typer.Option()] = "mobilenet_v2",
    epochs: options.Epochs = 40,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    table: options.Table = False,
    data: options.DataFolder = options.DATA,
    weights: options.Weights = "imagenet",
    work: options.Work = options.WORK,
    results: Annotated[Path, typer.Option(help="CSV of finished rows.")] = (
        options.RESULTS / "audit_loop.csv"
    ),
    device: options.Device = "auto",
) -> None:
    """Run what is not finished of one cell, and print all that is."""
    kept = KeptRows(results, (*CELL_COLUMNS, "labels"), FIGURES)
    if not table:
        cell = Cell(dataset, size, noise, rate, method, backbone, epochs, seed)
        place = Place(data, weights, work, device)
        for mending in Mending:
            key = (*cell.key, str(mending))
            if key not in kept.rows:
                kept.keep(key, asdict(gain_by(mending, cell, place)))
    print(table_of(kept))


if __name__ == "__main__":
    typer.run(main)
