"""`rsretrieve audit-labels`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rsretrieve.cli import options
from rsretrieve.cli.audit_inputs import AuditInputs, Found, Judge
from rsretrieve.cli.audit_outputs import AuditOutputs
from rsretrieve.cli.scenes import takes_scenes
from rsretrieve.cli.terminal import Terminal
from rsretrieve.tiles.windows import SceneChoices

if TYPE_CHECKING:
    from rsretrieve.audit.records import Audit
    from rsretrieve.tiles.failures import FailureLog

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
        typer.Option(metavar="FILE", help="Write every tile, worst label first, as CSV."),
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
            help="Write a labels file: with the confident suggestions applied, or, with "
            "--decisions, with these alone.",
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

    label_score = 1 / (1 + exp((best other − own) / σ)), of a tile's similarities to the class
    prototypes: 0…1, lower is worse; below 1/2 another class is nearer, and the label an issue.
    With --embeddings, prototypes are class means over the tiles that agree with them.

    Kinds of issue: wrong_label (another class is near), ambiguous (two are about equally near),
    off_topic (no class is near), duplicate (nearly the same pixels have another label; the twin is
    named), rare_class (fewer than 5 tiles, too few to judge by).
    """
    outputs = AuditOutputs(
        output, page, fixed_labels, changes, fiftyone, label_studio, geojson, overwrite
    )
    inputs = AuditInputs(tiles, scenes, labels, model, embeddings, decisions, truth, device)
    inputs.check()
    if not inputs.is_audit and (outputs.of_an_audit or fail_on_issues or not outputs.of_labels):
        raise typer.BadParameter(
            "--decisions without --model or --embeddings writes --fixed-labels and --changes, "
            "at least one of them, and nothing else"
        )
    with Terminal(as_json=as_json, quiet=quiet) as terminal:
        from rsretrieve.cli.render_audit import audit_result, decisions_result
        from rsretrieve.tiles.failures import FailureLog

        outputs.refuse_to_overwrite()
        log = FailureLog(strict=strict)
        found = inputs.find(log)
        terminal.notice(*found.tiles.notices)
        if found.decided is not None:
            outputs.write_decided(found.decided)
            if not inputs.is_audit:
                terminal.result(*decisions_result(found.decided))
                raise typer.Exit(terminal.failures(log.failures))
        judge = inputs.judge(found)
        audit = _audited(inputs, found, judge, log, terminal, with_page=page is not None)
        terminal.notice(*outputs.write(audit, found.tiles, judge.bands, terminal.listen))
        if found.decided is None:
            outputs.write_suggested(audit)
        terminal.notice(*log.notices)
        terminal.result(*audit_result(audit, judge.device, found.decided))
        code = terminal.failures(log.failures)
        raise typer.Exit(EXIT_ISSUES if fail_on_issues and audit.issues else code)


def _audited(
    inputs: AuditInputs,
    found: Found,
    judge: Judge,
    log: FailureLog,
    terminal: Terminal,
    *,
    with_page: bool,
) -> Audit:
    from rsretrieve.audit.audit import AuditRequest
    from rsretrieve.audit.audit import audit_labels as audit_labels_of
    from rsretrieve.report.audit_page import MOST_CARDS
    from rsretrieve.tiles.labels import read_true_labels

    request = AuditRequest(
        found.tiles,
        judge.basis,
        true_labels=read_true_labels(inputs.truth) if inputs.truth is not None else None,
        settled=found.decided.settled if found.decided is not None else frozenset(),
        comparisons=MOST_CARDS if with_page else 0,
    )
    return audit_labels_of(request, log, terminal.listen)
