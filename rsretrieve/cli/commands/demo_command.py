"""`rsretrieve demo`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from rsretrieve.cli import options
from rsretrieve.cli.given_command import record_config
from rsretrieve.cli.terminal import EXIT_SOME_FAILED
from rsretrieve.errors import OutputExists
from rsretrieve.export.output_paths import OutputPaths
from rsretrieve.index.store.manifest import CONFIG_FILE

CELLS, CELL_PX = 28, 48
_PURPOSES = (
    "Split the tiles into training, validation and test tiles.",
    "Change 30 % of the training labels, so that there are wrong labels to find.",
    "Train an embedding on the partly wrong labels.",
    "Embed all tiles and build an index.",
    "Find the tiles that are most similar to each of four tiles.",
    "Find the wrong labels, and compare the result with the true labels.",
    "Measure the retrieval of the test tiles.",
)


def demo(
    context: typer.Context,
    output: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for all files of the demo.")
    ] = Path("demo"),
    seed: options.Seed = 0,
    device: options.Device = "auto",
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
) -> None:
    """Run every step on a synthetic landscape, without data or downloads (2 minutes).

    Makes a georeferenced landscape with six bands, cuts it into tiles, changes 30 % of the
    training labels, then trains, indexes, queries, audits and evaluates. Every command is shown.

    Example:
        rsretrieve demo --output demo
    """
    from rsretrieve.synthetic.scene import make_landscape, write_tiles

    written = {f"--output ({name})": output / name for name in ("hits.png", CONFIG_FILE)}
    OutputPaths(written, overwrite=True).check()
    if output.exists() and any(output.iterdir()) and not overwrite:
        raise OutputExists(
            f"{output} already exists",
            hint="give --overwrite to replace its files, or --output DIR",
        )
    landscape = make_landscape(CELLS, CELL_PX, seed)
    count = write_tiles(landscape, CELL_PX, output / "tiles", overwrite=True)
    record_config(output)
    typer.echo(
        f"Wrote a synthetic landscape to {output / 'tiles'}: {count} tiles of {CELL_PX} px with "
        "six bands; the sub-folders are the classes."
    )
    failed = False
    for purpose, command in zip(_PURPOSES, _commands(output, seed, device), strict=True):
        quietly = [*command, "--quiet"] if quiet else command
        typer.echo(f"\n# {purpose}\n$ rsretrieve {shlex.join(command)}")
        failed |= _run(context, quietly) == EXIT_SOME_FAILED
    typer.echo(
        f"\nOpen {output / 'audit.html'} (the labels to check), {output / 'hits.png'} (queries "
        f"and their hits) and {output / 'model' / 'training.png'} (the training)."
    )
    raise typer.Exit(EXIT_SOME_FAILED if failed else 0)


def _commands(output: Path, seed: int, device: str) -> list[list[str]]:
    """The commands, as a user would type them."""
    at = {name: str(output / name) for name in ("tiles", "lists", "model", "index")}
    train, test = str(output / "lists" / "train.csv"), str(output / "lists" / "test.csv")
    noisy, model = str(output / "noisy.csv"), ["--model", at["model"]]
    tail = ["--device", device, "--overwrite"]
    chance = ["--seed", str(seed), "--overwrite"]
    audit = [
        *["audit-labels", train, "--labels", noisy, *model, "--truth", train],
        *["--output", str(output / "audit.csv"), "--page", str(output / "audit.html")],
        *["--fixed-labels", str(output / "fixed.csv"), "--fix-precision", "0.9", *tail],
    ]
    return [
        ["split", at["tiles"], "--output", at["lists"], *chance],
        ["corrupt-labels", train, "--rate", "0.3", "--output", noisy, *chance],
        [
            *["train", train, "--labels", noisy, "--output", at["model"], "--weights", "none"],
            # Red, green and blue first, so that pictures come in natural colours.
            *["--bands", "3,2,1,4,5,6", "--size", str(CELL_PX), "--epochs", "20"],
            *["--device", device, *chance],
        ],
        ["index", at["tiles"], *model, "--output", at["index"], *tail],
        [
            *["query", *_examples(output / "tiles"), "--index", at["index"], "-k", "8"],
            *["--exclude-self", "--sheet", str(output / "hits.png")],
            *["--geojson", str(output / "hits.geojson"), *tail],
        ],
        audit,
        ["evaluate", test, "--index", at["index"], "--device", device],
    ]


def _examples(tiles: Path) -> list[str]:
    """A tile of each of four classes."""
    wanted = ("beach", "dense_houses", "fields", "road")
    return [str(min((tiles / name).iterdir())) for name in wanted]


def _run(context: typer.Context, command: list[str]) -> int:
    """Run one command of this program in this process.

    Returns:
        Its exit code: 0, or that of tiles that could not be read.

    Raises:
        typer.Exit: the command ended with another code; it has said why.
    """
    parent = context.parent
    if parent is None:  # never: the program is a group of commands
        return 0
    # Without standalone mode, `typer.Exit` is returned as its code.
    code = int(parent.command.main(command, prog_name="rsretrieve", standalone_mode=False) or 0)
    if code not in (0, EXIT_SOME_FAILED):
        raise typer.Exit(code)
    return code
