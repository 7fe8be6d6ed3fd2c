"""`rsretrieve compare`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from rsretrieve.api.comparing.compared_inputs import READ, compared_inputs
from rsretrieve.cli import options
from rsretrieve.cli.commands.comparing.compared_options import (
    all_values,
    check_values,
    in_python,
    parsed_vary,
)
from rsretrieve.cli.early_checks import (
    check_device,
    check_tiles,
    check_truth,
)
from rsretrieve.cli.given_command import record_config
from rsretrieve.cli.scene_options import takes_scenes
from rsretrieve.cli.terminal import Terminal
from rsretrieve.cli.training_options import takes_training
from rsretrieve.data.windowing import SceneChoices
from rsretrieve.export.output_paths import OutputPaths


@takes_scenes
@takes_training
def compare(
    tiles: options.Tiles,
    test: Annotated[
        list[str],
        typer.Option(
            metavar="TILES",
            help="Test tiles, with labels that are right: the queries. Repeatable. They are left "
            "out of TILES.",
        ),
    ],
    vary: Annotated[
        list[str],
        typer.Option(
            metavar="NAME=A,B,…",
            help="An option of train, or noise, and its values; separated by ; where a value has a "
            "comma. Repeatable: the values of the first one are compared, for each combination of "
            "the others.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="Folder to write. The same command continues an interrupted comparison; more "
            "values and seeds are added to a finished one.",
        ),
    ],
    training: Mapping[str, Any],
    seeds: Annotated[
        int, typer.Option(metavar="N", min=2, help="Seeds that each choice is trained with.")
    ] = 3,
    gallery: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TILES",
            help="Tiles that the test tiles search, with labels that are right. Repeatable. "
            "\\[default: the other test tiles]",
        ),
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="True labels of the test tiles and the gallery (CSV or list: tile,label), to use "
            "instead of theirs.",
        ),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            metavar="VALUE",
            help="The value of the first --vary that the others are compared with. \\[default: its "
            "first]",
        ),
    ] = None,
    metric: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="The figure that is compared: map, map_at_r, knn_accuracy, precision_at_10, "
            "recall_at_1, ….",
        ),
    ] = "map",
    detect: Annotated[
        float,
        typer.Option(
            metavar="D",
            help="If no difference can be shown: the difference for which the verdict says how "
            "many more seeds it needs.",
        ),
    ] = 0.01,
    noise: Annotated[
        str | None,
        typer.Option(
            metavar="KIND:…:RATE",
            help="Make labels wrong on purpose before each training, with its seed: uniform:0.3, "
            "table:aid:0.3, table:FILE.csv:0.3, table:from-model:MODEL:0.3 or instance:MODEL:0.3.",
        ),
    ] = None,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            rich_help_panel=options.RUN,
            help="Make finished trainings again whose options, tiles or labels have changed.",
        ),
    ] = False,
    strict: options.Strict = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    scenes: SceneChoices = SceneChoices(),
) -> None:
    """Train with several options and seeds, and say which is better.

    Every training is an ordinary model folder. All models answer the same queries, the test tiles.
    The verdict is about new seeds and new queries: its interval counts both.

    Example:
        rsretrieve compare tiles --test t.csv --vary labels=a.csv,b.csv --output c
        rsretrieve compare tiles --test t.csv --vary loss=nsl,t-rnsl --output c
    """
    varied = parsed_vary(vary)
    fixed = {"noise": noise, **in_python(training)}
    paths = OutputPaths(
        folder={"--output": output},
        inputs={
            **options.inputs_of("TILES", tiles),
            **options.inputs_of("--test", test),
            **options.inputs_of("--gallery", gallery),
            "--truth": truth,
            "--config": None,  # that of the output continues the comparison
            **compared_inputs({name: all_values(name, varied, fixed) for name in READ}),
        },
    )
    after = "finished trainings are kept; to continue, repeat the command"
    with Terminal(as_json=as_json, quiet=quiet, after_interrupt=after) as terminal:
        paths.check()
        check_device(device)
        check_tiles(tiles, test, gallery, *all_values("validation", varied, fixed))
        check_truth(truth)
        check_values(varied, fixed)
        from rsretrieve.api.comparing.grid_choices import GridRequest, choices_of
        from rsretrieve.cli.io.comparison_tables import comparison_table
        from rsretrieve.comparison.choice import contrasts_of
        from rsretrieve.comparison.report import write_reports
        from rsretrieve.comparison.run_comparison import ComparisonRequest, run_comparison
        from rsretrieve.comparison.test_set import METRICS, prepare_test, with_truths
        from rsretrieve.comparison.training_set import without_test_tiles
        from rsretrieve.comparison.verdict import check_detected
        from rsretrieve.data.discovery.find_tiles import find_tiles
        from rsretrieve.data.run_context import RunContext
        from rsretrieve.data.tile import TileSet

        check_detected(detect)
        if metric not in METRICS:
            raise typer.BadParameter(f"it is none of {', '.join(METRICS)}", param_hint="--metric")
        context = RunContext(strict=strict, listener=terminal.listen)

        def find(given: list[str]) -> TileSet:
            tiles_found = find_tiles(given, None, scenes, context)
            terminal.notice(*tiles_found.notices)
            return tiles_found

        choices, notices = choices_of(GridRequest(varied, fixed, find, _scene_config(scenes)))
        terminal.notice(*notices)
        contrasts = contrasts_of(choices, baseline)
        found, asked = find(tiles), find(test)
        searched = find(gallery) if gallery else None
        paths.check_tiles(lambda: (t.path for s in (found, asked, searched or ()) for t in s))
        prepared = prepare_test(*with_truths(asked, searched, truth, context), context)
        request = ComparisonRequest(
            without_test_tiles(found, tiles, prepared.queries, context),
            prepared,
            choices,
            tuple(contrasts),
            output,
            seeds=seeds,
            first_seed=seed,
            metric=metric,
            detected=detect,
            device=device,
            overwrite=overwrite,
            add_files=lambda folder: record_config(folder, output=output),
        )
        result = run_comparison(request, context)
        write_reports(result)
        terminal.notice(*context.notices, *result.notices)
        terminal.result(result.to_json(), *comparison_table(result))
        raise typer.Exit(terminal.failures(context.failures))


def _scene_config(scenes: SceneChoices) -> dict[str, object]:
    """The options of scenes, by their names."""
    windows = scenes.windows
    found: dict[str, object] = {
        "asset": list(scenes.assets) or None,
        "stack": ",".join(scenes.stack) or None,
        "trust-sources": scenes.trusted or None,
    }
    if windows is not None:
        found |= {
            "window": windows.window_px,
            "stride": windows.stride_px,
            "resolution": windows.resolution_m,
            "edges": windows.edges,
            "max-nodata": windows.max_nodata,
            "max-windows": scenes.max_windows,
        }
    return found
