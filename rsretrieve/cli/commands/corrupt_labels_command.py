"""`rsretrieve corrupt-labels`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rsretrieve.cli import options
from rsretrieve.cli.early_checks import (
    check_device,
    check_labels_file,
    check_model,
    check_tiles,
    find_model,
)
from rsretrieve.cli.scene_options import takes_scenes
from rsretrieve.cli.terminal import Terminal
from rsretrieve.data.labels.noise_choice import FROM_MODEL, NoiseChoice
from rsretrieve.data.windowing import SceneChoices
from rsretrieve.enums import NoiseKind
from rsretrieve.export.output_paths import OutputPaths
from rsretrieve.network.named_gpu import check_named_gpu


@takes_scenes
def corrupt_labels(
    tiles: options.Tiles,
    rate: Annotated[float, typer.Option(min=0, max=1, help="Share of labels to change, 0…1.")],
    output: Annotated[
        Path,
        typer.Option(metavar="FILE", help="Labels file to write (CSV: tile,label,true_label)."),
    ],
    kind: Annotated[
        NoiseKind,
        typer.Option(
            help="uniform: to any other class. table, or label-dependent: to the classes of "
            "--table. instance: the tiles that --model confuses most easily."
        ),
    ] = NoiseKind.UNIFORM,
    table: Annotated[
        str | None,
        typer.Option(
            metavar="TABLE",
            help="Confusions for --kind table: aid, nwpu-resisc45 (both published), a CSV file "
            "(from,to,share), or from-model: those of --model. Shares of classes that TILES do not "
            "have are given to the other classes of the same row.",
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(metavar="DIR|NAME", help="Model for --kind instance and --table from-model."),
    ] = None,
    exact: Annotated[
        bool,
        typer.Option(
            "--exact",
            help="Change exactly this share of the labels, instead of each label with this "
            "probability: of each class, or with --kind instance of all classes together.",
        ),
    ] = False,
    labels: options.Labels = None,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    overwrite: options.Overwrite = False,
    strict: options.Strict = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    scenes: SceneChoices = SceneChoices(),
) -> None:
    """Change a share of the labels on purpose, to measure the effect of wrong labels.

    The labels file also holds the true labels, for audit-labels --truth and evaluate --truth.

    Example:
        rsretrieve corrupt-labels tiles --rate 0.3 --output noisy.csv
        rsretrieve corrupt-labels tiles --rate 0.3 --output noisy.csv --exact
    """
    noise = NoiseChoice(kind, rate, table, model, exact)
    model = (named := find_model(model)).folder
    paths = OutputPaths(
        {"--output": output},
        inputs={
            **options.inputs_of("TILES", tiles),
            "--labels": labels,
            "--table": None if table == FROM_MODEL else table,
            "--model": model,
        },
        overwrite=overwrite,
    )
    with Terminal(as_json=as_json, quiet=quiet, notices=named.notices) as terminal:
        paths.check()
        terminal.leave_output_to(paths.on_standard_output)
        check_device(device)
        check_tiles(tiles)
        check_model(model)
        check_labels_file(labels)
        check_named_gpu(device)
        from rsretrieve._core.tables import write_csv
        from rsretrieve.cli.io.result_tables import corruption_summary
        from rsretrieve.data.discovery.find_tiles import find_tiles
        from rsretrieve.data.labels.label_noise import read_transitions
        from rsretrieve.data.run_context import RunContext
        from rsretrieve.evaluation.label_corruption import corrupted_labels

        context = RunContext(strict=strict, listener=terminal.listen)
        if table is not None and table != FROM_MODEL:
            read_transitions(table)
        found = find_tiles(tiles, labels, scenes, context)
        paths.check_tiles(lambda: (tile.path for tile in found))
        terminal.notice(*found.notices)
        loaded = None
        if model is not None:
            from rsretrieve.network.device import choose_device
            from rsretrieve.network.model_folder import load_model

            loaded = load_model(model, choose_device(device), context)
        corrupted = corrupted_labels(found, noise, seed, context, loaded)
        rows = [(tile.id, corrupted[tile.id], tile.label) for tile in found.labelled()]
        write_csv(output, ("tile", "label", "true_label"), rows, overwrite=overwrite)
        changed = sum(label != true for _, label, true in rows)
        content = {"labels": str(output), "tiles": len(rows), "changed": changed}
        terminal.notice(*context.notices)
        terminal.result(content, corruption_summary(output, len(rows), changed))
        raise typer.Exit(terminal.failures(context.failures))
