"""The options that several commands share, and the parsing of their values."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from rsretrieve._core.text import size_in_bytes
from rsretrieve.data.windowing import DEFAULT_MAX_NODATA, MAX_WINDOWS
from rsretrieve.enums import Edges

# The headings of option groups in --help. Options without a group come first.
SCENES, RUN, FILES = "Scenes", "Run", "Files to write"
_scene_option = partial(typer.Option, rich_help_panel=SCENES)
_run_option = partial(typer.Option, rich_help_panel=RUN)
file_option = partial(typer.Option, metavar="FILE", rich_help_panel=FILES)

EXAMPLE_HELP = "a tile id, an image, or a .npy file with one vector"
TILES_HELP = (
    "A folder of images (class sub-folders are the labels); or a CSV or Parquet list with the "
    "columns tile and optionally path and label"
)
TILES_HELP_STAC = (
    f"{TILES_HELP}; or a STAC item, item collection, collection or catalogue (.json), or a folder "
    "of items"
)
Tiles = Annotated[
    list[str],
    typer.Argument(
        metavar="TILES",
        help=f"{TILES_HELP_STAC}; with --window also a scene, by path or URL. Several may be "
        "given.",
    ),
]
Window = Annotated[
    int | None,
    _scene_option(
        metavar="PX",
        help="Cut every image into square windows of this side. Each window is one tile. No "
        "image files are written.",
    ),
]
Stride = Annotated[
    int | None,
    _scene_option(
        metavar="PX",
        help="Distance from one window to the next. \\[default: the value of --window]",
    ),
]
Resolution = Annotated[
    float | None,
    _scene_option(
        metavar="M",
        help="Ground size of a pixel in metres. --window and --stride count in these pixels. "
        "Finer scenes are read at this resolution, from their overviews if they have any. "
        "\\[default: the scene's own]",
    ),
]
EdgesOption = Annotated[
    Edges | None,
    _scene_option(
        help="drop: leave out windows that reach over the scene's edge. pad: keep them; the part "
        "outside is nodata. \\[default: drop]",
    ),
]
MaxNodata = Annotated[
    float | None,
    _scene_option(
        metavar="SHARE",
        help=f"Skip windows with a larger share of nodata, 0…1. \\[default: {DEFAULT_MAX_NODATA}]",
    ),
]
Assets = Annotated[
    list[str] | None,
    _scene_option(
        "--asset",
        metavar="NAME",
        help="The STAC asset that holds the scene. Repeatable: the bands of several assets form "
        "one tile. \\[default: the only raster]",
    ),
]
Stack = Annotated[
    str | None,
    _scene_option(
        metavar="B,B,…|all",
        help="For scenes whose bands lie in files of their own (SAFE, Landsat, BigEarthNet): take "
        "these bands of a scene, in this order, as one tile, at the resolution of the finest; for "
        "example B04,B03,B02. \\[default: every file is a tile or a scene]",
    ),
]
MaxWindows = Annotated[
    int | None,
    _scene_option(
        metavar="N",
        min=1,
        help=f"Refuse scenes with more windows than this. \\[default: {MAX_WINDOWS:,}]",
    ),
]
TrustSources = Annotated[
    bool,
    _run_option(
        "--trust-sources",
        help="Open everything that the tiles' files, lists and STAC items refer to: other files, "
        "every GDAL format, private network addresses. Without it, only formats that contain "
        "their own pixels are opened, and nothing else is read or requested.",
    ),
]
Labels = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Labels (CSV: tile,label). They override the labels found with the tiles. Labels "
        "that a person decided on, by the column decision, are trusted.",
    ),
]
FrozenWeights = Annotated[
    str | None,
    typer.Option(
        "--weights",
        metavar="imagenet|FILE",
        help="Instead of --model: the features of a network with these weights (.safetensors or "
        ".pth), not trained, reduced to 128 principal components of the tiles.",
    ),
]
FrozenBackbone = Annotated[
    str | None,
    typer.Option(
        "--backbone",
        metavar="NAME",
        help="The network of --weights: a torchvision classification model, or timm/NAME. "
        "\\[default: mobilenet_v2]",
    ),
]
IndexModel = Annotated[
    Path | None,
    typer.Option(
        "--model",
        metavar="DIR|NAME",
        help="Path of the model, if it was moved; or a model of `rsretrieve models`. \\[default: "
        "the one that the index names or holds]",
    ),
]
Index = Annotated[
    Path, typer.Option("--index", metavar="DIR", help="Index folder, written by rsretrieve index.")
]
Expand = Annotated[
    bool,
    typer.Option(
        "--expand",
        help="Expand each query: search again with the L2-normalised sum of the query and its 10 "
        "nearest hits, each weighted by the cube of its similarity. Similarities are those to the "
        "sum.",
    ),
]
Truth = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="True labels to compare the result with: a CSV or a list with the columns tile and "
        "true_label, or tile and label if there is no true_label.",
    ),
]
Device = Annotated[
    str,
    _run_option(
        metavar="NAME",
        help="auto (a GPU if there is one), cpu, cuda or cuda:N.",
    ),
]
MAX_SEED = 1 << 62
Seed = Annotated[int, _run_option(min=0, max=MAX_SEED, help="Random seed.")]
Overwrite = Annotated[
    bool,
    _run_option("--overwrite", help="Replace existing outputs."),
]
Strict = Annotated[
    bool,
    _run_option(
        "--strict",
        help="Stop at the first tile that cannot be read (exit code 1).",
    ),
]
Json = Annotated[
    bool,
    _run_option(
        "--json",
        help="Print the result as one JSON object on standard output.",
    ),
]
Quiet = Annotated[
    bool,
    _run_option(
        "--quiet",
        "-q",
        help="Show no progress and no notices. Errors and results are still shown.",
    ),
]


def geojson_option(tiles: str) -> Any:
    """A GeoJSON file of the footprints of `tiles`, such as "the hits"."""
    return file_option(help=f"GeoJSON: footprints of {tiles}.")


def geoparquet_option(tiles: str) -> Any:
    """A GeoParquet file of the same footprints."""
    return file_option(help=f"GeoParquet 1.1: footprints of {tiles}.")


def inputs_of(name: str, given: Sequence[str] | None) -> dict[str, str]:
    """Input paths that one argument names, by a name for messages."""
    numbered = enumerate(given or (), 1)
    return {name if number == 1 else f"{name} ({number})": path for number, path in numbered}


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
            f"expected {count} numbers separated by commas, not {text!r}", param_hint=option
        )
    return numbers


def parse_bands(text: str | None) -> tuple[int | str, ...]:
    """Parse a list of bands, each a number or a name, or end with a usage error."""
    parts = () if text is None else tuple(part.strip() for part in text.split(","))
    if not all(parts):
        raise typer.BadParameter(
            f"{text!r} is not a list of bands separated by commas", param_hint="--bands"
        )
    return tuple(_band(part) for part in parts)


def _band(text: str) -> int | str:
    try:
        return int(text)
    except ValueError:
        return text


def parse_count(text: str | None, option: str) -> int | None:
    """Parse a whole number, or end with a usage error. None stays None."""
    if text is None:
        return None
    try:
        return int(text)
    except ValueError as error:
        raise typer.BadParameter(
            f"expected a whole number or auto, not {text!r}", param_hint=option
        ) from error


def parse_bytes(text: str, option: str) -> int:
    """Parse a size such as 500MB, 2GB or 1.5GiB, or end with a usage error.

    >>> parse_bytes("2 GB", "--memory"), parse_bytes("1.5KiB", "--memory")
    (2000000000, 1536)
    """
    size = size_in_bytes(text)
    if size is None:
        raise typer.BadParameter(
            f"expected a size such as 500MB or 2GB, not {text!r}", param_hint=option
        )
    return size
