"""Compare trainings: labels, losses, backbones, for Python."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Unpack

from rsretrieve.api.arguments.checks import (
    PathLike,
    device_name,
    flag,
    number,
    optional_path,
    path_of,
    text_of,
    whole,
    wrong,
)
from rsretrieve.api.call_report import CallReport, Progress
from rsretrieve.api.comparing.compared_inputs import READ, compared_inputs
from rsretrieve.api.comparing.grid_choices import GridRequest, choices_of, text_of_value, vary_words
from rsretrieve.api.model_training import RecipeOptions
from rsretrieve.api.opened_tiles import TilesLike, tiles_of
from rsretrieve.api.trained_model import paths_among
from rsretrieve.comparison.choice import contrasts_of
from rsretrieve.comparison.comparison_result import Comparison
from rsretrieve.comparison.report import write_reports
from rsretrieve.comparison.run_comparison import ComparisonRequest, run_comparison
from rsretrieve.comparison.test_set import METRICS, prepare_test, with_truths
from rsretrieve.comparison.training_set import without_test_tiles
from rsretrieve.comparison.verdict import DETECTED, check_detected
from rsretrieve.export.output_paths import OutputPaths
from rsretrieve.export.run_config import write_config


def compare(
    tiles: TilesLike,
    output: PathLike,
    *,
    test: TilesLike,
    vary: Mapping[str, Sequence[Any]],
    seeds: int = 3,
    gallery: TilesLike | None = None,
    truth: PathLike | None = None,
    baseline: object = None,
    metric: str = "map",
    detect: float = DETECTED,
    labels: PathLike | None = None,
    noise: str | None = None,
    recipe: str = "robust",
    validation: TilesLike | None = None,
    seed: int = 0,
    overwrite: bool = False,
    device: str = "auto",
    strict: bool = False,
    progress: Progress | None = None,
    **recipe_options: Unpack[RecipeOptions],
) -> Comparison:
    """Train every combination of some options with several seeds, and say which is better.

    All models answer the same queries, the test tiles. A finished training never runs again: the
    same call continues an interrupted comparison, and more seeds or values are added to it.

    Args:
        tiles: tiles with labels to train on. Test tiles among them are left out.
        output: the folder to write: a model folder for each training, `table.csv`, `table.md` and
            `comparison.png`.
        test: test tiles, with labels that are right.
        vary: the options that differ, with their values: what `train` takes (`loss`, `backbone`,
            `epochs`, …), `labels` (labels files), `noise` (see below) and `recipe`. The values of
            the first one are compared with each other, for each combination of the others.
        seeds: how many seeds each choice is trained with; at least 2.
        gallery: tiles that the test tiles search, with labels that are right; by default the
            test tiles search each other.
        truth: a file with the true labels of the test tiles and the gallery (`tile,label`).
        baseline: the value of the first option that the others are compared with; by default its
            first one.
        metric: the figure that is compared: `map`, `map_at_r`, `knn_accuracy`, `precision_at_10`…
        detect: the difference for which the verdict says how many more seeds it needs.
        labels: a labels file for all trainings.
        noise: makes labels wrong on purpose before each training, with its seed: `uniform:0.3`,
            `table:aid:0.3`, `table:FILE.csv:0.3`, `table:from-model:MODEL:0.3`,
            `instance:MODEL:0.3` or `none`.
        recipe: as in `train`.
        validation: as in `train`.
        seed: the first seed.
        overwrite: make finished trainings again whose options, tiles or labels have changed.
        device: `auto` (a GPU where there is one), `cpu`, `cuda` or `cuda:N`.
        strict: the first tile that cannot be used ends the comparison.
        progress: called with every event; see `rsretrieve.progress`.
        **recipe_options: for all trainings, as in `train`.

    Returns:
        The figures, the differences with their intervals, and the verdict.

    Raises:
        InvalidArgument: an argument is of a wrong type, or makes no sense.
        OutputExists, OutputRefused, OutputBusy: `output` may not be written.
        LabelsError, InputError, NoUsableTiles: the tiles cannot be compared with.
        WeightsError: weights cannot be had, or do not fit.
        MissingPackage: matplotlib is not installed.

    Example:
        >>> import rsretrieve
        >>> lists = rsretrieve.split("tiles", (0.5, 0.1, 0.4))
        >>> found = rsretrieve.compare(
        ...     lists.train, "losses", test=lists.test, vary={"loss": ["nsl", "t-rnsl"]}, seeds=2,
        ...     epochs=2, size=32, backbone="squeezenet1_1", weights="none", freeze_backbone=True,
        ... )
        >>> len(found.results), found.judged[0].baseline
        (4, 'loss=nsl')
    """
    with CallReport(progress, strict=strict) as call:
        folder = path_of(output, "output")
        fixed = {"labels": labels, "noise": noise, "recipe": recipe, "validation": validation}
        given = {"tiles": tiles, "test": test, "gallery": gallery, "validation": validation}
        inputs = paths_among({**given, "truth": truth})
        trained = {**fixed, **recipe_options}
        read = {n: [trained.get(n), *_checked_vary(vary).get(n, ())] for n in READ}
        paths = OutputPaths(folder={"output": folder}, inputs={**inputs, **compared_inputs(read)})
        paths.check()
        detected = number(detect, "detect")
        check_detected(detected)
        if metric not in METRICS:
            raise wrong("metric", f"one of {', '.join(METRICS)}", metric)
        choices, notices = choices_of(
            GridRequest(
                vary,
                trained,
                lambda value: tiles_of(value, call).tile_set,
            )
        )
        call.notice(*notices)
        first = None if baseline is None else text_of_value(baseline)
        contrasts = contrasts_of(choices, first)
        found = tiles_of(tiles, call)
        sides = [None if one is None else tiles_of(one, call) for one in (test, gallery)]
        sides_found = [one for one in sides if one is not None]
        paths.check_tiles(lambda: (tile.path for one in (found, *sides_found) for tile in one))
        file = optional_path(truth, "truth")
        asked, searched = (None if one is None else one.tile_set for one in sides)
        sets = with_truths(asked or found.tile_set, searched, file, call.context)
        prepared = prepare_test(*sets, call.context)
        words = _words(tiles)
        training = without_test_tiles(found.tile_set, words, prepared.queries, call.context)
        config = {
            **_config(given, recipe_options),
            **{"truth": file, "baseline": first, "metric": metric, "detect": detect},
            **{"labels": labels, "noise": noise, "recipe": recipe, "seed": seed, "seeds": seeds},
            "vary": vary_words(vary),
        }
        kept = {**given, "val": validation, "vary": vary}
        objects = [n for n, v in kept.items() if v is not None and n in config and not config[n]]
        request = ComparisonRequest(
            training,
            prepared,
            choices,
            tuple(contrasts),
            folder,
            seeds=whole(seeds, "seeds", 1),
            first_seed=whole(seed, "seed"),
            metric=metric,
            detected=detected,
            device=device_name(device),
            overwrite=flag(overwrite, "overwrite"),
            add_files=lambda made: write_config(
                made, "compare", {**config, "output": folder}, objects=objects
            ),
        )
        result = run_comparison(request, call.context)
        call.notice(*result.notices)
        write_reports(result)
    return result


def _checked_vary(vary: object) -> Mapping[str, Sequence[Any]]:
    if not isinstance(vary, Mapping):
        raise wrong("vary", "a mapping of options to their values", vary)
    for name, values in vary.items():
        if isinstance(values, str) or not isinstance(values, Sequence):
            raise wrong(f"vary[{name!r}]", "several values", values)
    return vary


def _words(tiles: object) -> tuple[str, ...]:
    several = tiles if isinstance(tiles, list | tuple) else (tiles,)
    if all(isinstance(one, str | os.PathLike) for one in several):
        return tuple(text_of(one, "tiles") for one in several)
    return ()


def _config(given: Mapping[str, object], options: Mapping[str, Any]) -> dict[str, object]:
    """The options of the command that does the same; tiles that are objects are missing."""
    found: dict[str, object] = {}
    for name, value in given.items():
        words = _words(value) if value is not None else ()
        found["val" if name == "validation" else name] = list(words) or None
    for name, value in options.items():
        text = text_of_value(value) if isinstance(value, list | tuple) else value
        found[name.replace("_", "-")] = None if text is False else text
    return found
