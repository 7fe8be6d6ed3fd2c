"""The arguments that several commands share, each declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rsretrieve._core.text import size_in_bytes
from rsretrieve.enums import Edges

Tiles = Annotated[
    str,
    typer.Argument(
        metavar="TILES",
        help="A folder of images (class sub-folders are the labels), or a CSV or Parquet list "
        "with the columns tile, and optionally path and label. With --window also a scene, by a "
        "path or URL that GDAL opens. Or a STAC item (.json), or a folder of them.",
    ),
]
_SCENES = "Scenes"  # the heading in --help
Window = Annotated[
    int | None,
    typer.Option(
        metavar="PX",
        help="Cut every image into windows of this side; each is a tile. Nothing is written.",
        rich_help_panel=_SCENES,
    ),
]
Stride = Annotated[
    int | None,
    typer.Option(
        metavar="PX",
        help="From one window to the next. \\[default: the window's side]",
        rich_help_panel=_SCENES,
    ),
]
Resolution = Annotated[
    float | None,
    typer.Option(
        metavar="M",
        help="Metres a pixel of a window spans: --window and --stride are counted in such pixels, "
        "and finer scenes are read coarser, from their overviews. \\[default: the scene's]",
        rich_help_panel=_SCENES,
    ),
]
EdgesOption = Annotated[
    Edges | None,
    typer.Option(
        help="drop: no window reaches over the edge. pad: the last ones do, and what lies outside "
        "is nodata. \\[default: drop]",
        rich_help_panel=_SCENES,
    ),
]
MaxNodata = Annotated[
    float | None,
    typer.Option(
        metavar="SHARE",
        help="Windows with a larger share of nodata, 0…1, are skipped. \\[default: 0.5]",
        rich_help_panel=_SCENES,
    ),
]
Assets = Annotated[
    list[str] | None,
    typer.Option(
        "--asset",
        metavar="NAME",
        help="Of STAC items: the asset that is the scene; may be given several times. "
        "\\[default: the only raster]",
        rich_help_panel=_SCENES,
    ),
]
MaxWindows = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        help="A scene of more windows is refused. \\[default: 50,000,000]",
        rich_help_panel=_SCENES,
    ),
]
TrustSources = Annotated[
    bool,
    typer.Option(
        "--trust-sources",
        help="Open whatever the tiles' files, lists and items name: other files, every format of "
        "GDAL, private addresses. Without it only formats open that hold their pixels themselves, "
        "and nothing else is read or asked.",
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


def parse_count(text: str | None, option: str) -> int | None:
    """Parse a whole number, or end with a usage error; None of nothing."""
    if text is None:
        return None
    try:
        return int(text)
    except ValueError as error:
        raise typer.BadParameter(
            f"{text!r} is neither a number nor auto", param_hint=option
        ) from error


def parse_bytes(text: str, option: str) -> int:
    """Parse a size such as 500MB, 2GB or 1.5GiB, or end with a usage error.

    >>> parse_bytes("2 GB", "--memory"), parse_bytes("1.5KiB", "--memory")
    (2000000000, 1536)
    """
    size = size_in_bytes(text)
    if size is None:
        raise typer.BadParameter(
            f"{text!r} is not a size; expected is one such as 500MB or 2GB", param_hint=option
        )
    return size
