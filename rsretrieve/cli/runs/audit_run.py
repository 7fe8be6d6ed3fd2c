"""What `rsretrieve audit-labels` runs: an audit, or decisions applied to labels."""

from __future__ import annotations

from dataclasses import dataclass

import typer

from rsretrieve.cli.early_checks import (
    check_device,
    check_embeddings,
    check_frozen,
    check_index,
    check_labels_file,
    check_models,
    check_tiles,
    check_truth,
)
from rsretrieve.cli.io.audit_inputs import AuditInputs
from rsretrieve.cli.io.audit_outputs import AuditOutputs
from rsretrieve.cli.terminal import Terminal
from rsretrieve.export.output_paths import OutputPaths

EXIT_ISSUES = 4


@dataclass(frozen=True)
class AuditRun:
    """The inputs and outputs of an audit, and its options, as they were typed."""

    inputs: AuditInputs
    outputs: AuditOutputs
    expected_precision: float | None
    budget: int | None
    cross_fit: int
    fix_precision: float | None
    seed: int
    strict: bool
    fail_on_issues: bool

    def check(self) -> None:
        """Check that the options go together.

        Raises:
            typer.BadParameter: they do not.
        """
        inputs, outputs = self.inputs, self.outputs
        inputs.check()
        if outputs.leaks is not None and not inputs.against:
            raise typer.BadParameter("--leaks needs --against LIST")
        wants_audit = outputs.has_findings or self.fail_on_issues or not outputs.has_labels
        if not inputs.is_audit and wants_audit:
            raise typer.BadParameter(
                "--decisions without --model or --embeddings needs --fixed-labels or --changes, "
                "and takes no other output"
            )
        outputs.check_fix_precision(self.fix_precision, inputs.decisions)


def run_audit(run: AuditRun, paths: OutputPaths, terminal: Terminal) -> int:
    """Audit labels, or apply decisions alone; write and print the result.

    Args:
        run: the checked options.
        paths: the outputs, checked against the inputs.
        terminal: where the result is printed.

    Returns:
        The exit code.
    """
    inputs, outputs = run.inputs, run.outputs
    _check_files(inputs)
    from rsretrieve.audit.audit import AuditRequest, audit_labels
    from rsretrieve.audit.issue_selection import FIX_PRECISION, IssueSelection
    from rsretrieve.audit.label_quality import AssessmentOptions
    from rsretrieve.cli.io.render_audit import audit_result, decisions_result, page_line
    from rsretrieve.data.labels.true_labels import true_labels_of
    from rsretrieve.data.run_context import RunContext

    assessment = AssessmentOptions(
        IssueSelection(run.expected_precision, run.budget),
        run.cross_fit,
        FIX_PRECISION if run.fix_precision is None else run.fix_precision,
        run.seed,
    )
    context = RunContext(strict=run.strict, listener=terminal.listen)
    found = inputs.find(context)
    paths.check_tiles(lambda: (tile.path for tile in found.tiles))
    terminal.notice(*found.tiles.notices)
    if found.reviewed is not None:
        outputs.write_reviewed(found.reviewed)
        if not inputs.is_audit:
            terminal.result(*decisions_result(found.reviewed))
            return terminal.failures(context.failures)
    true = true_labels_of(found.tiles, inputs.truth) if inputs.truth is not None else None
    terminal.notice(*(true.notices if true is not None else ()))
    source = inputs.load_source(found, context)
    request = AuditRequest(
        found.tiles,
        source.evidence,
        true_labels=true.known if true is not None else None,
        comparisons=outputs.page_tiles if outputs.page is not None else 0,
        options=assessment,
    )
    audit = audit_labels(request, context)
    terminal.notice(*outputs.write(audit, found, source, context))
    if found.reviewed is None:
        terminal.notice(*outputs.write_suggested(audit, found.tiles))
    compared = inputs.against_lists(found.tiles, source, context)
    found_leaks = outputs.write_leaks(compared, context)
    terminal.notice(*context.notices)
    result = audit_result(audit, source, found.reviewed, found_leaks)
    terminal.result(*result, *page_line(outputs.page))
    code = terminal.failures(context.failures)
    return EXIT_ISSUES if run.fail_on_issues and len(audit.issues) else code


def _check_files(inputs: AuditInputs) -> None:
    """Check what can be checked before PyTorch loads and tiles are read."""
    check_device(inputs.device)
    check_tiles(inputs.tiles)
    check_models(inputs.models)
    check_frozen(inputs.request.backbone, inputs.request.weights)
    check_labels_file(inputs.labels, *inputs.decisions)
    if inputs.embeddings is not None and inputs.embeddings.is_dir():
        check_index(inputs.embeddings)
    else:
        check_embeddings(inputs.embeddings)
    check_truth(inputs.truth)
    check_tiles(inputs.against)
