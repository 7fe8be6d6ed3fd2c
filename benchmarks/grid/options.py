"""The options that the benchmarks of the grid have in common."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

DataFolder = Annotated[Path, typer.Option(help="Folder of the data sets.")]
Weights = Annotated[str, typer.Option(help="imagenet or a file.")]
Work = Annotated[Path, typer.Option(help="Keeps splits, labels, models.")]
Size = Annotated[int, typer.Option(metavar="PX")]
Epochs = Annotated[int, typer.Option(min=1)]
Table = Annotated[bool, typer.Option("--table", help="Run nothing; show all there is.")]
Device = Annotated[str, typer.Option()]

DATA = Path(os.environ.get("RSRETRIEVE_DATA", "data"))
WORK = Path("build/grid")
RESULTS = Path(__file__).parents[1] / "results"
