"""`rsretrieve evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rsretrieve.cli import options
from rsretrieve.cli.early_checks import (
    check_device,
    check_index,
    check_labels_file,
    check_model,
    check_tiles,
    check_truth,
    find_model,
)
from rsretrieve.cli.scene_options import given_tile_options, takes_scenes
from rsretrieve.cli.terminal import Terminal
from rsretrieve.data.windowing import SceneChoices
from rsretrieve.export.output_paths import OutputPaths
from rsretrieve.network.named_gpu import check_named_gpu


@takes_scenes
def evaluate(
    index: options.Index,
    queries: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="QUERIES",
            help=f"Labelled query tiles. {options.TILES_HELP}; with --window also a scene. "
            "Several may be given. \\[default: every tile of the index, against the others]",
        ),
    ] = None,
    labels: options.Labels = None,
    truth: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="True labels of the indexed tiles (CSV or list: tile,label), to use instead of "
            "their given labels.",
        ),
    ] = None,
    expand: options.Expand = False,
    model: options.IndexModel = None,
    csv: Annotated[
        Path | None,
        options.file_option(
            help="CSV: the figures of each class and the confusion matrix of the nearest "
            "neighbours.",
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        options.file_option(
            metavar="FILE.png", help="Picture: the confusion matrix and the mAP of each class."
        ),
    ] = None,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    overwrite: options.Overwrite = False,
    strict: options.Strict = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    scenes: SceneChoices = SceneChoices(),
) -> None:
    """Measure how well an index retrieves tiles of the query's class.

    A hit is relevant if it has the query's label. A query is never its own hit: tiles are compared
    by content, so a copy elsewhere is the same tile.

    Example:
        rsretrieve evaluate --index index
        rsretrieve evaluate test_tiles --index index --csv per_class.csv

    Metrics: mAP over the whole ranking; mAP@R over the first R hits, where R is the number of
    relevant tiles; precision and recall at k; accuracy of 10 nearest neighbours, weighted by
    inverse distance; NMI of a k-means clustering of the queries. Equally similar tiles count as
    the mean over all their orders.
    """
    of_queries = [*given_tile_options(labels, scenes)]
    of_queries += [n for n, given in {"--model": model, "--strict": strict}.items() if given]
    if not queries and of_queries:
        raise typer.BadParameter(f"{of_queries[0]} applies to QUERIES, which are missing")
    model = (named := find_model(model)).folder
    outputs = OutputPaths(
        {"--csv": csv, "--plot": plot},
        inputs={
            "--index": index,
            "--truth": truth,
            "--labels": labels,
            "--model": model,
            **options.inputs_of("QUERIES", queries),
        },
        overwrite=overwrite,
    )
    with Terminal(as_json=as_json, quiet=quiet, notices=named.notices) as terminal:
        outputs.check()
        terminal.leave_output_to(outputs.on_standard_output)
        check_device(device)
        check_index(index)
        check_tiles(queries)
        check_model(model)
        check_labels_file(labels)
        check_truth(truth)
        check_named_gpu(device)
        from rsretrieve.cli.io.result_tables import evaluation_table
        from rsretrieve.data.discovery.find_tiles import find_tiles
        from rsretrieve.data.run_context import RunContext
        from rsretrieve.evaluation.evaluate import evaluate_index, true_labels_of_index
        from rsretrieve.export.results import evaluation_json, write_evaluation_csv
        from rsretrieve.index.store.folder import open_index
        from rsretrieve.network.device import choose_device
        from rsretrieve.network.model_folder import load_model
        from rsretrieve.search.search import model_folder_of

        store = open_index(index)
        outputs.check_tiles(lambda: store.rows.column("path"))
        context = RunContext(strict=strict, listener=terminal.listen)
        found = loaded = None
        if queries:
            found = find_tiles(queries, labels, scenes, context)
            queried = found
            outputs.check_tiles(lambda: (tile.path for tile in queried))
            terminal.notice(*found.notices)
            loaded = load_model(model or model_folder_of(store), choose_device(device), context)
        evaluation = evaluate_index(
            store,
            seed,
            context,
            queries=found,
            model=loaded,
            true_labels=None if truth is None else true_labels_of_index(store, truth, context),
            expand=expand,
        )
        terminal.notice(*context.notices)
        if csv is not None:
            write_evaluation_csv(csv, evaluation, overwrite=overwrite)
        if plot is not None:
            from rsretrieve.export.plots import plot_evaluation

            plot_evaluation(plot, evaluation, overwrite=overwrite)
        terminal.result(evaluation_json(evaluation), evaluation_table(evaluation))
        raise typer.Exit(terminal.failures(context.failures))
