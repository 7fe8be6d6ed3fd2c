"""`rsretrieve audit-labels`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rsretrieve.cli import options
from rsretrieve.cli.scenes import takes_scenes
from rsretrieve.cli.terminal import Terminal
from rsretrieve.tiles.windows import SceneChoices

EXIT_ISSUES = 4


@takes_scenes
def audit_labels(
    tiles: options.Tiles,
    model: options.Model,
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write every tile, worst label first, as CSV."),
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.html", help="Write the worst labels as one page, with pictures."
        ),
    ] = None,
    fixed_labels: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write a labels file with the issues' labels as suggested."
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
    """
    with Terminal(as_json=as_json, quiet=quiet) as terminal:
        from rsretrieve.audit.audit import audit_labels as audit_labels_of
        from rsretrieve.cli.render import audit_summary
        from rsretrieve.learning.device import choose_device, describe_device
        from rsretrieve.learning.model_store import load_model
        from rsretrieve.report.audit_page import write_audit_page
        from rsretrieve.report.records import audit_json, write_audit_csv
        from rsretrieve.storage import refuse_to_overwrite
        from rsretrieve.tiles.catalog import find_tiles
        from rsretrieve.tiles.labels import read_true_labels, write_labels
        from rsretrieve.tiles.stream import FailureLog

        for path in filter(None, (output, page, fixed_labels)):
            refuse_to_overwrite(path, overwrite=overwrite)
        log = FailureLog(strict=strict)
        found = find_tiles(tiles, labels, scenes, log)
        terminal.notice(*found.notices)
        loaded = load_model(model, choose_device(device))
        true_labels = read_true_labels(truth) if truth is not None else None
        audit = audit_labels_of(loaded, found, log, terminal.listen, true_labels)
        if output is not None:
            write_audit_csv(output, audit, overwrite=overwrite)
        if fixed_labels is not None:
            write_labels(fixed_labels, audit.fixed_labels(), overwrite=overwrite)
        if page is not None:
            bands = loaded.description.preprocessing.bands
            write_audit_page(page, audit, str(tiles), bands, overwrite=overwrite)
        terminal.notice(*log.notices)
        terminal.result(audit_json(audit, describe_device(loaded.device)), *audit_summary(audit))
        code = terminal.failures(log.failures)
        raise typer.Exit(EXIT_ISSUES if fail_on_issues and audit.issues else code)
