"""`rsretrieve split`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rsretrieve.cli import options
from rsretrieve.cli.early_checks import check_labels_file, check_tiles
from rsretrieve.cli.given_command import record_config
from rsretrieve.cli.scene_options import takes_scenes
from rsretrieve.cli.terminal import Terminal
from rsretrieve.data.windowing import SceneChoices
from rsretrieve.export.output_paths import OutputPaths
from rsretrieve.index.store.manifest import CONFIG_FILE

PARTS = ("train", "val", "test")
_TOGETHER = "What stays together"


@takes_scenes
def split(
    tiles: options.Tiles,
    output: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="Folder for train.csv, val.csv, test.csv and config.toml."
        ),
    ],
    fractions: Annotated[
        str, typer.Option(metavar="F,F,F", help="Shares of train, val and test.")
    ] = "0.7,0.1,0.2",
    by_scene: Annotated[
        bool,
        typer.Option(
            "--by-scene",
            help="All tiles of one file, or of one STAC item, go to one list.",
            rich_help_panel=_TOGETHER,
        ),
    ] = False,
    by_place: Annotated[
        bool,
        typer.Option(
            "--by-place",
            help="Tiles that overlap on the ground go to one list.",
            rich_help_panel=_TOGETHER,
        ),
    ] = False,
    buffer_m: Annotated[
        float,
        typer.Option(
            metavar="M",
            help="With --by-place: tiles within M metres on the ground, too.",
            rich_help_panel=_TOGETHER,
        ),
    ] = 0.0,
    leaks: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="CSV: tiles that overlap a tile of another list, or are near-duplicates of it. "
            "Reads all tiles.",
        ),
    ] = None,
    labels: options.Labels = None,
    seed: options.Seed = 0,
    overwrite: options.Overwrite = False,
    strict: options.Strict = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    scenes: SceneChoices = SceneChoices(),
) -> None:
    """Split tiles into lists for training, validation and test.

    Each class is split by these fractions. The result depends only on the seed and on the tile
    ids of the class.

    Windows that overlap must not be in different lists: a model is then tested on what it was
    trained on. --by-place keeps them together, also across files and reference systems. If one
    group of tiles is too large for the fractions, as a scene with overlapping windows is, it is
    cut into contiguous blocks, and the tiles at their borders are in no list.

    Example:
        rsretrieve split tiles --output lists --fractions 0.7,0.1,0.2
        rsretrieve split scenes --window 64 --stride 16 --by-place --output lists
    """
    shares = options.parse_numbers(fractions, "--fractions", float)
    if len(shares) != len(PARTS):
        raise typer.BadParameter(
            "expected three fractions: train, val, test", param_hint="--fractions"
        )
    if output == Path("-"):
        raise typer.BadParameter("a folder is written, not a file", param_hint="--output")
    files = [output / f"{part}.csv" for part in PARTS]
    written = [*files, output / CONFIG_FILE]
    paths = OutputPaths(
        {**{f"--output ({path.name})": path for path in written}, "--leaks": leaks},
        inputs={
            **options.inputs_of("TILES", tiles),
            "--labels": labels,
        },
        overwrite=overwrite,
    )
    with Terminal(as_json=as_json, quiet=quiet) as terminal:
        paths.check()
        terminal.leave_output_to(paths.on_standard_output)
        check_tiles(tiles)
        check_labels_file(labels)
        from rsretrieve.cli.io.leak_outputs import split_result, write_leaks
        from rsretrieve.data.discovery.find_tiles import find_tiles
        from rsretrieve.data.discovery.tile_list import write_list
        from rsretrieve.data.run_context import RunContext
        from rsretrieve.data.splitting.split_tiles import SplitChoices, split_tiles

        choices = SplitChoices(shares, seed, by_scene, by_place, buffer_m, PARTS)
        context = RunContext(strict=strict, listener=terminal.listen)
        found = find_tiles(tiles, labels, scenes, context)
        paths.check_tiles(lambda: (tile.path for tile in found))
        terminal.notice(*found.notices)
        divided = split_tiles(found, choices, context)
        for path, part in zip(files, divided.parts):
            write_list(path, part, overwrite=overwrite, follow=False)
        record_config(output, overwrite)
        lists = dict(zip(PARTS, divided.parts))
        found_leaks = None
        if leaks is not None:
            found_leaks = write_leaks(lists, leaks, context, overwrite=overwrite)
        terminal.notice(*context.notices)
        terminal.result(*split_result(output, divided, found_leaks))
        raise typer.Exit(terminal.failures(context.failures))
