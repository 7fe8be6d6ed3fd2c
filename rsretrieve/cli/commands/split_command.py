"""`rsretrieve split`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rsretrieve.cli import options
from rsretrieve.cli.early_checks import check_labels_file, check_tiles
from rsretrieve.cli.scene_options import takes_scenes
from rsretrieve.cli.terminal import Terminal
from rsretrieve.data.windowing import SceneChoices
from rsretrieve.export.output_paths import OutputPaths

PARTS = ("train", "val", "test")


@takes_scenes
def split(
    tiles: options.Tiles,
    output: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for train.csv, val.csv and test.csv.")
    ],
    fractions: Annotated[
        str, typer.Option(metavar="F,F,F", help="Shares of train, val and test.")
    ] = "0.7,0.1,0.2",
    labels: options.Labels = None,
    seed: options.Seed = 0,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    scenes: SceneChoices = SceneChoices(),
) -> None:
    """Split tiles into lists for training, validation and test.

    Each class is split by these fractions. The result depends only on the seed and on the tile
    ids of the class.

    Example:
        rsretrieve split tiles --output lists --fractions 0.7,0.1,0.2
    """
    shares = options.parse_numbers(fractions, "--fractions", float)
    if len(shares) != len(PARTS):
        raise typer.BadParameter(
            "expected three fractions: train, val, test", param_hint="--fractions"
        )
    if output == Path("-"):
        raise typer.BadParameter("a folder is written, not a file", param_hint="--output")
    files = [output / f"{part}.csv" for part in PARTS]
    paths = OutputPaths(
        {f"--output ({path.name})": path for path in files},
        inputs={**options.inputs_of("TILES", tiles), "--labels": labels},
        overwrite=overwrite,
    )
    with Terminal(as_json=as_json, quiet=quiet) as terminal:
        paths.check()
        check_tiles(tiles)
        check_labels_file(labels)
        from rsretrieve.cli.io.result_tables import split_summary
        from rsretrieve.data.discovery.find_tiles import find_tiles, write_list
        from rsretrieve.data.labels.splits import split_per_class

        found = find_tiles(tiles, labels, scenes)
        paths.check_tiles(lambda: (tile.path for tile in found))
        terminal.notice(*found.notices)
        parts = split_per_class(found, shares, seed)
        for path, part in zip(files, parts):
            write_list(path, part, overwrite=overwrite)
        counts = {name: len(part) for name, part in zip(PARTS, parts)}
        terminal.result({"output": str(output), **counts}, split_summary(output, counts))
