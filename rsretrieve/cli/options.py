"""The arguments that several commands share, each declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Tiles = Annotated[
    Path,
    typer.Argument(
        metavar="TILES",
        help="A folder of images (class sub-folders are the labels), or a CSV or Parquet list "
        "with the columns tile, and optionally path and label.",
    ),
]
Labels = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Labels (CSV: tile,label) that replace those found with the tiles."
    ),
]
Model = Annotated[Path, typer.Option(metavar="DIR", help="The model folder, made by train.")]
IndexModel = Annotated[
    Path | None,
    typer.Option(
        "--model",
        metavar="DIR",
        help="The model the index was built with, if it no longer lies where it lay.",
    ),
]
Index = Annotated[
    Path, typer.Option("--index", metavar="DIR", help="The index folder, made by index.")
]
Truth = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="True labels (CSV or list: tile,label) to measure by."),
]
Device = Annotated[
    str,
    typer.Option(metavar="NAME", help="auto (a GPU where there is one), cpu, cuda or cuda:N."),
]
Seed = Annotated[int, typer.Option(min=0, help="Every chance hangs on this number.")]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace outputs that are there already.")
]
Strict = Annotated[
    bool,
    typer.Option("--strict", help="Stop at the first tile that cannot be read (exit code 1)."),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on standard output, nothing else.")
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="No progress and no notices; errors and results stay.")
]


def parse_numbers(
    text: str, option: str, kind: type, count: int | None = None
) -> tuple[float, ...]:
    """Parse comma-separated numbers, `count` of them, or end with a usage error."""
    try:
        numbers = tuple(kind(part) for part in text.split(","))
    except ValueError as error:
        raise typer.BadParameter(
            f"{text!r} is not a list of numbers separated by commas", param_hint=option
        ) from error
    if count is not None and len(numbers) != count:
        raise typer.BadParameter(
            f"{text!r} is not {count} numbers separated by commas", param_hint=option
        )
    return numbers
