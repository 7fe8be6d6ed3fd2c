"""Retrieval and audit under label noise: ours, the paper's and others', on one grid.

Every cell (a data set, a noise, a method, a seed) is split, corrupted, trained and measured
as `split`, `corrupt-labels`, `train`, `evaluate` and `audit-labels` do it. A finished cell
is a row of the results and never runs again; an interrupted one goes on where it stopped.

    python benchmarks/noise_robustness.py --quick    minutes: to see that all runs
    python benchmarks/noise_robustness.py --cpu      UC Merced, hours on two cores
    python benchmarks/noise_robustness.py --gpu      AID at 128 px, the published 130 epochs
    python benchmarks/noise_robustness.py --table    what is finished, as a table and a plot

    python benchmarks/noise_robustness.py --compare DIR --noise table --rate 0.3 --seeds 3

With `--compare` the methods that are options of `train` are compared by `rsretrieve compare`, with
this benchmark's tiles, noise and recipes: one folder with paired differences, a plot and a
verdict. Models of the grid are trained by the same code, and each is an ordinary model folder.

The grid remains beside it for what a comparison does not have: methods that are no options of
`train` (cross entropy, early-learning regularisation, small loss, features as they are), a split of
its own for each seed, and the figures of the audit.

Validation tiles have their true labels, as published. The paper's recipe picks its best
epoch by them; `robust` and the others never look at them but for the record.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from grid import options
from grid.cells import Cell, Dataset, Method, cpu_cells, gpu_cells, quick_cells
from grid.data import Place
from grid.noises import Noise
from grid.results import Results, markdown_table
from grid.running import run_cell

app = typer.Typer(add_completion=False)


def chosen_cells(presets: Sequence[bool], cell: Cell) -> list[Cell]:
    """The cells of the presets that are named, or the one cell."""
    grids = (quick_cells, cpu_cells, gpu_cells)
    named = [cell for wanted, grid in zip(presets, grids) if wanted for cell in grid()]
    return named or [cell]


def run(cells: Sequence[Cell], place: Place, results: Results) -> None:
    """Run the cells that are not finished, one at a time, keeping each as it ends."""
    for number, cell in enumerate(cells, start=1):
        done = "finished before" if cell in results else "running"
        print(f"[{number}/{len(cells)}] {done}: {cell.command}", file=sys.stderr, flush=True)
        if cell not in results:
            results.add(cell, run_cell(cell, place))


@app.command()
def main(
    quick: Annotated[bool, typer.Option("--quick", help="Four cells of two epochs.")] = False,
    cpu: Annotated[bool, typer.Option("--cpu", help="UC Merced, the whole grid.")] = False,
    gpu: Annotated[bool, typer.Option("--gpu", help="AID at 128 px, 130 epochs.")] = False,
    table: options.Table = False,
    dataset: Annotated[Dataset, typer.Option()] = Dataset.UC_MERCED,
    size: options.Size = 64,
    noise: Annotated[Noise, typer.Option()] = Noise.UNIFORM,
    rate: Annotated[float, typer.Option(min=0, max=1)] = 0.5,
    method: Annotated[Method, typer.Option()] = Method.ROBUST,
    backbone: Annotated[str, typer.Option()] = "mobilenet_v2",
    epochs: options.Epochs = 40,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    data: options.DataFolder = options.DATA,
    weights: options.Weights = "imagenet",
    work: options.Work = options.WORK,
    results: Annotated[Path, typer.Option(help="CSV of finished cells.")] = (
        options.RESULTS / "noise_robustness.csv"
    ),
    plot: Annotated[
        Path | None, typer.Option(help="Draw mAP against rate, of one data set and size.")
    ] = None,
    compare: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Compare methods with this noise in this folder; --method does not count.",
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=2, help="Of --compare.")] = 3,
    device: options.Device = "auto",
) -> None:
    """Run what is not finished of a preset, or one cell, and print one table."""
    one = Cell(dataset, size, noise, rate, method, backbone, epochs, seed)
    if compare is not None:
        from grid.comparing import compared, report

        print(report(compared(one, Place(data, weights, work, device), compare, seeds)))
        return
    kept = Results(results)
    cells = chosen_cells((quick, cpu, gpu), one)
    if not table:
        run(cells, Place(data, weights, work, device), kept)
    rows = list(kept.rows.values()) if table else kept.of(cells)
    print(markdown_table(rows))
    if plot is not None:
        from grid.results import draw

        draw([row for row in rows if (row["dataset"], row["size_px"]) == one.key[:2]], plot)


if __name__ == "__main__":
    app()
