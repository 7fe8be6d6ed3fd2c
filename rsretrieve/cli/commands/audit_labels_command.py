"""`rsretrieve audit-labels`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from rsretrieve.cli import options
from rsretrieve.cli.early_checks import find_model
from rsretrieve.cli.io.audit_inputs import AuditInputs
from rsretrieve.cli.io.audit_outputs import AuditOutputs
from rsretrieve.cli.io.default_model import DefaultRequest
from rsretrieve.cli.runs.audit_run import AuditRun, run_audit
from rsretrieve.cli.scene_options import takes_scenes
from rsretrieve.cli.terminal import Terminal
from rsretrieve.data.windowing import SceneChoices
from rsretrieve.export.html.page_limits import CARDS_LIMIT, MOST_CARDS

_file = options.file_option
_choice = partial(typer.Option, rich_help_panel="Scoring and selection")


@takes_scenes
def audit_labels(
    tiles: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TILES",
            help=f"{options.TILES_HELP}; with --window also a scene. Several may be given. "
            "With --embeddings FILE.npy: row i is tile i (a folder's tiles are sorted by id). "
            "With --embeddings FILE.parquet or INDEX, TILES may be left out.",
        ),
    ] = None,
    model: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR|NAME",
            help="Model folder, written by rsretrieve train; or a model of `rsretrieve models`. A "
            "folder comes first. If given several times, the models are averaged; all must know "
            "the same classes. \\[default: an embedding that needs no training, chosen by the "
            "tiles]",
        ),
    ] = None,
    weights: options.FrozenWeights = None,
    backbone: options.FrozenBackbone = None,
    embeddings: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE|INDEX",
            help="Instead of --model: embeddings that exist. .npy (N, D), .parquet with the "
            "columns tile, embedding and label, or an index folder.",
        ),
    ] = None,
    labels: options.Labels = None,
    decisions: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Decisions saved from the page (or any CSV: tile,label). They replace the "
            "labels. These labels are trusted: they are never issues again. Needs no model. If "
            "given several times, the files of several reviewers are merged; tiles that they give "
            "different labels are listed and keep their labels.",
        ),
    ] = None,
    truth: options.Truth = None,
    output: Annotated[
        Path | None, _file(help="CSV: every tile with its scores, worst label first.")
    ] = None,
    page: Annotated[
        Path | None,
        _file(metavar="FILE.html", help="Web page: the worst labels with pictures, for review."),
    ] = None,
    page_tiles: Annotated[
        int,
        typer.Option(
            metavar="N",
            help=f"Largest number of tiles on the page, at most {CARDS_LIMIT}.",
            min=1,
            max=CARDS_LIMIT,
            rich_help_panel=options.FILES,
        ),
    ] = MOST_CARDS,
    fixed_labels: Annotated[
        Path | None,
        _file(
            help="CSV (tile,label) to train on: the given labels, with the most probable "
            "suggestions applied (see --fix-precision). With --decisions: with the decisions "
            "applied, and no suggestions. The columns decision and given_label say which labels a "
            "person decided on.",
        ),
    ] = None,
    changes: Annotated[
        Path | None, _file(help="CSV: which label was changed, from what to what, and why.")
    ] = None,
    noise_matrix: Annotated[
        Path | None,
        _file(help="CSV: estimated true classes of the tiles of each given label."),
    ] = None,
    fiftyone: Annotated[
        Path | None,
        _file(help="CSV for FiftyOne and cleanlab: every tile in the order of TILES."),
    ] = None,
    label_studio: Annotated[
        Path | None,
        _file(
            metavar="FILE.json",
            help="Label Studio tasks: the tiles to review, with the suggestions filled in.",
        ),
    ] = None,
    geojson: Annotated[
        Path | None, _file(help="GeoJSON: footprints of the tiles to review.")
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LIST",
            help="Other tiles, such as a test list: report which audited tiles overlap one of "
            "them, or are near-duplicates. May be given several times. The same --window cuts "
            "their scenes.",
        ),
    ] = None,
    leaks: Annotated[
        Path | None, _file(help="CSV: the tiles that --against found, in pairs.")
    ] = None,
    expected_precision: Annotated[
        float | None,
        _choice(
            metavar="SHARE",
            help="Flag as many labels as possible while this share of them, 0…1, is expected to "
            "be wrong.",
        ),
    ] = None,
    budget: Annotated[
        int | None,
        _choice(
            metavar="N",
            help="Flag the N labels that are most probably wrong, of those that nobody decided on. "
            "Not with --expected-precision.",
            min=1,
        ),
    ] = None,
    cross_fit: Annotated[
        int,
        _choice(
            metavar="K",
            help="Score each tile by a classifier fitted to the other K − 1 of K parts.",
            min=2,
        ),
    ] = 5,
    fix_precision: Annotated[
        float | None,
        _choice(
            metavar="SHARE",
            help="With --fixed-labels: change as many labels as possible while this share of the "
            "changed labels, 0…1, is expected to be right. The others are left for a person. "
            "\\[default: 0.95]",
        ),
    ] = None,
    fail_on_issues: Annotated[
        bool,
        typer.Option(
            "--fail-on-issues",
            help="Exit with code 4 if there are issues.",
            rich_help_panel=options.RUN,
        ),
    ] = False,
    device: options.Device = "auto",
    seed: options.Seed = 0,
    overwrite: options.Overwrite = False,
    strict: options.Strict = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    scenes: SceneChoices = SceneChoices(),
) -> None:
    """List the labels that are probably wrong, worst first, and suggest a label for each.

    No clean labels and no model are needed. The noise rate (the share of wrong labels) is
    estimated with a 95 % interval.

    Example:
        rsretrieve audit-labels tiles --page audit.html
        rsretrieve audit-labels tiles --model models/mine --page audit.html
        rsretrieve audit-labels tiles --model models/mine --fixed-labels fixed.csv

    Several independent estimators score each label. They are combined into one probability that
    the label is wrong, issue_probability; label_score = 1 − issue_probability, so the lowest score
    is the worst. Formulas and estimators: docs/concepts/audit.md.

    Above 10,000,000 tiles × classes, the probabilities of the 15 likely classes of each tile are
    kept, and of the rest together. Above 50,000 tiles, neighbours are searched approximately.
    Below 10 tiles per class, the prototypes are the only estimator.

    By default, the number of issues maximises the expected F1 score.

    Kinds of issue: wrong_label (another class is more probable), ambiguous (two classes are about
    as probable), off_topic (no class is near), duplicate (a near-duplicate has another label and
    is named), rare_class (fewer than 5 tiles, too few to score).
    """
    named = [find_model(folder) for folder in model or ()]
    models = [found.folder for found in named if found.folder is not None]
    exports = (fiftyone, label_studio, geojson, noise_matrix)
    pages = page, page_tiles
    outputs = AuditOutputs(output, *pages, fixed_labels, changes, *exports, leaks, overwrite)
    inputs = AuditInputs(
        *(tiles or None, scenes, labels, models, embeddings, decisions or (), truth),
        *(DefaultRequest(weights, backbone, seed), device, against or ()),
    )
    run = AuditRun(
        inputs,
        outputs,
        expected_precision=expected_precision,
        budget=budget,
        cross_fit=cross_fit,
        fix_precision=fix_precision,
        seed=seed,
        strict=strict,
        fail_on_issues=fail_on_issues,
    )
    run.check()
    paths = outputs.paths(inputs.paths)
    with Terminal(
        as_json=as_json, quiet=quiet, notices=[text for found in named for text in found.notices]
    ) as terminal:
        paths.check()
        terminal.leave_output_to(paths.on_standard_output)
        raise typer.Exit(run_audit(run, paths, terminal))
