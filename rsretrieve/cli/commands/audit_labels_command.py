"""`rsretrieve audit-labels`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rsretrieve.cli import options
from rsretrieve.cli.io.audit_inputs import AuditInputs
from rsretrieve.cli.io.audit_outputs import AuditOutputs
from rsretrieve.cli.scene_options import takes_scenes
from rsretrieve.cli.terminal import Terminal
from rsretrieve.data.windowing import SceneChoices

EXIT_ISSUES = 4


@takes_scenes
def audit_labels(
    tiles: Annotated[
        str | None,
        typer.Argument(
            metavar="TILES",
            help="A folder of images (class sub-folders are the labels), or a CSV or Parquet list "
            "with the columns tile, and optionally path and label. With --embeddings FILE.npy its "
            "rows are these tiles in their order (a folder's is by id); with "
            "--embeddings FILE.parquet TILES may be left out.",
        ),
    ] = None,
    model: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Judge by this model, made by train.")
    ] = None,
    embeddings: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Judge by embeddings made elsewhere, without images: .npy (N, D), or .parquet "
            "with the columns tile, embedding and label.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write every tile, worst label first, as CSV, with all that it was judged by.",
        ),
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.html",
            help="Write the worst labels as one page with pictures, to decide on in a browser.",
        ),
    ] = None,
    decisions: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Decisions saved by that page (or any tile,label file): they are put on the "
            "labels, and those tiles are no issues any more. Needs no model.",
        ),
    ] = None,
    fixed_labels: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write a labels file to train on: with the confident suggestions applied "
            "(at least three times as likely as the next class), or, with --decisions, with these "
            "alone.",
        ),
    ] = None,
    changes: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write who changed which label by which rule, as CSV."),
    ] = None,
    fiftyone: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write every tile in the tiles' order as CSV, with filepath, for FiftyOne and "
            "cleanlab.",
        ),
    ] = None,
    label_studio: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.json",
            help="Write the tiles that need a look as Label Studio tasks, suggestions filled in.",
        ),
    ] = None,
    geojson: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write the tiles that need a look as GeoJSON footprints."
        ),
    ] = None,
    noise_matrix: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write which class the tiles of each given label are thought to be of, as CSV.",
        ),
    ] = None,
    expected_precision: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Call as many labels issues as are expected to be wrong to this share, 0…1.",
        ),
    ] = None,
    budget: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Call the N worst labels issues, and no others; not with --expected-precision.",
            min=1,
        ),
    ] = None,
    cross_fit: Annotated[
        int,
        typer.Option(
            metavar="K",
            help="Judge each tile by classes fitted to the other K − 1 of K parts.",
            min=2,
        ),
    ] = 5,
    truth: options.Truth = None,
    labels: options.Labels = None,
    fail_on_issues: Annotated[
        bool, typer.Option("--fail-on-issues", help="Exit with code 4 when there are issues.")
    ] = False,
    device: options.Device = "auto",
    overwrite: options.Overwrite = False,
    strict: options.Strict = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    scenes: SceneChoices = SceneChoices(),
) -> None:
    """List the labels that are probably wrong, worst first, with the label each should have.

    issue_probability = 1 − q_y, q_t ∝ T_ty · Π P_view(t): how likely each class t is for the
    tile by each view, and for such tiles to be labelled y. label_score is 1 less that. T (who is
    taken for whom) and q are estimated in turns. Views: a discriminant of the starting features,
    fitted to the other --cross-fit parts; the votes of neighbours in these; with a trained model
    also the votes of neighbours in its embedding, its prototypes' softmax and the area under the
    margin of the training, as sharp as the first two bear out, which then count √½ each (they see
    the same features). Of tiles that the model was not trained on, its own views count in place of
    the first two. With --embeddings, or a model that kept no starting features, discriminant and
    votes are of the embeddings.

    Above 50,000 tiles, above 10,000,000 tiles × classes, or below 10 tiles a class, prototypes
    alone judge: label_score = 1 / (1 + exp((best other − own) / σ)), of cosines.

    Issues are chosen for the highest expected F1, or by --expected-precision or --budget.
    The noise rate is the mean issue_probability, its interval a bootstrap over tiles.

    Kinds of issue: wrong_label (another class is likelier), ambiguous (two are about as likely),
    off_topic (no class is near), duplicate (nearly the same pixels, or without images nearly the
    same embedding, have another label; the twin is named), rare_class (fewer than 5 tiles, too few
    to judge by).
    """
    exports = (fiftyone, label_studio, geojson, noise_matrix)
    outputs = AuditOutputs(output, page, fixed_labels, changes, *exports, overwrite)
    inputs = AuditInputs(tiles, scenes, labels, model, embeddings, decisions, truth, device)
    inputs.check()
    if not inputs.is_audit and (outputs.has_findings or fail_on_issues or not outputs.has_labels):
        raise typer.BadParameter(
            "--decisions without --model or --embeddings writes --fixed-labels and --changes, "
            "at least one of them, and nothing else"
        )
    paths = outputs.paths(inputs.paths)
    with Terminal(as_json=as_json, quiet=quiet) as terminal:
        paths.check()
        from rsretrieve.audit.audit import AuditRequest
        from rsretrieve.audit.audit import audit_labels as audit_labels_of
        from rsretrieve.audit.issue_selection import IssueSelection
        from rsretrieve.audit.label_quality import AssessmentOptions
        from rsretrieve.cli.io.render_audit import audit_result, decisions_result
        from rsretrieve.data.labels.labels import read_true_labels
        from rsretrieve.data.run_context import RunContext
        from rsretrieve.export.html.page import MOST_CARDS

        assessment = AssessmentOptions(IssueSelection(expected_precision, budget), cross_fit)
        context = RunContext(strict=strict, listener=terminal.listen)
        found = inputs.find(context)
        paths.check_tiles(lambda: (tile.path for tile in found.tiles))
        terminal.notice(*found.tiles.notices)
        if found.reviewed is not None:
            outputs.write_reviewed(found.reviewed)
            if not inputs.is_audit:
                terminal.result(*decisions_result(found.reviewed))
                raise typer.Exit(terminal.failures(context.failures))
        source = inputs.load_source(found, context)
        request = AuditRequest(
            found.tiles,
            source.evidence,
            true_labels=read_true_labels(truth) if truth is not None else None,
            confirmed=found.reviewed.confirmed if found.reviewed is not None else frozenset(),
            comparisons=MOST_CARDS if page is not None else 0,
            options=assessment,
        )
        audit = audit_labels_of(request, context)
        terminal.notice(*outputs.write(audit, found.tiles, source, context))
        if found.reviewed is None:
            terminal.notice(*outputs.write_suggested(audit, found.tiles))
        terminal.notice(*context.notices)
        terminal.result(*audit_result(audit, source.device, found.reviewed))
        code = terminal.failures(context.failures)
        raise typer.Exit(EXIT_ISSUES if fail_on_issues and len(audit.issues) else code)
