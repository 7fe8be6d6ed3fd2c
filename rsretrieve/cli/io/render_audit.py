"""Print an audit, and decisions on labels, as text or as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from rsretrieve.cli.io.text_tables import plain, plain_table

if TYPE_CHECKING:
    from rsretrieve.audit.decisions.saved_decisions import Disagreement
    from rsretrieve.audit.leaks.find_leaks import FoundLeaks
    from rsretrieve.audit.result import Audit, KnownWrong
    from rsretrieve.audit.review import ReviewedTiles
    from rsretrieve.cli.io.audit_inputs import AuditSource
    from rsretrieve.evaluation.label_error_metrics import AuditFigures

WORST_SHOWN = 20


def audit_result(
    audit: Audit,
    source: AuditSource,
    reviewed: ReviewedTiles | None,
    leaks: FoundLeaks | None = None,
) -> tuple[Any, ...]:
    """The JSON object, then what is printed without `--json`."""
    from rsretrieve.cli.io.leak_outputs import leak_summary
    from rsretrieve.export.results import audit_json, leaks_json

    content = audit_json(audit, source.device, source.models)
    if leaks is not None:
        content["leaks"] = leaks_json(leaks)
    if reviewed is not None:
        content |= _decisions_json(reviewed)
    shown = audit_summary(audit)
    differing = _disagreements(reviewed.disagreements) if reviewed is not None else ()
    return content, *differing, *shown, *(leak_summary(leaks) if leaks is not None else ())


def decisions_result(reviewed: ReviewedTiles) -> tuple[Any, ...]:
    """The JSON object, then a line of text, for a command that only applied decisions."""
    counts = _decisions_json(reviewed)
    line = (
        f"decisions on {counts['decisions']} of {len(reviewed.tiles)} labels applied; "
        f"{counts['changed']} labels changed"
    )
    differing = _disagreements(reviewed.disagreements)
    return {"tiles": len(reviewed.tiles), **counts}, *differing, plain(line)


def _decisions_json(reviewed: ReviewedTiles) -> dict[str, Any]:
    changed = sum(change.changes_label for change in reviewed.changes)
    counts: dict[str, Any] = {"decisions": len(reviewed.changes), "changed": changed}
    if reviewed.disagreements:
        counts["disagreements"] = [
            {
                "tile": each.tile_id,
                "decisions": [
                    {"file": str(file), "by": d.by, "decision": str(d.rule), "label": d.label}
                    for file, d in zip(each.files, each.decisions)
                ],
            }
            for each in reviewed.disagreements
        ]
    return counts


def _disagreements(found: Sequence[Disagreement]) -> Iterator[Table]:
    """The tiles that reviewers gave different labels, as a table; nothing if there are none."""
    if not found:
        return
    shown = found[:WORST_SHOWN]
    title = f"{len(shown)} of {len(found)} tiles that reviewers gave different labels"
    table = plain_table(title, "decisions", "tile")
    for each in shown:
        opinions = "; ".join(f"{by}: {label or 'no class'}" for by, label in each.opinions)
        table.add_row(plain(opinions), plain(each.tile_id))
    yield table


def audit_summary(audit: Audit) -> Iterator[RenderableType]:
    """The worst labels, a table of the classes, and a summary in one sentence."""
    if len(audit.to_review):
        yield _worst(audit)
        yield _classes(audit)
    yield plain(_sentence(audit))
    if audit.figures is not None and audit.known_wrong is not None:
        yield plain(_comparison(audit, audit.figures, audit.known_wrong))


def _comparison(audit: Audit, figures: AuditFigures, wrong: KnownWrong) -> str:
    """How many labels are really wrong, and how well they were found."""
    total = len(audit.table)
    undecided = total if audit.wrong_left is None else audit.wrong_left.undecided
    said = f"compared with the true labels: {wrong.total} of {total} labels are wrong"
    said += f" ({wrong.total / total:.1%})"
    if undecided < total:
        said += f", {wrong.undecided} of them among the {undecided} that nobody decided on"
    if not wrong.undecided:  # then there is nothing to find
        return said
    names = ("auroc", "average_precision", "precision", "recall", "f1", "suggestion_accuracy")
    values = {name.replace("_", " "): getattr(figures, name) for name in names}
    shown = (f"{n} {'–' if v is None else format(v, '.4f')}" for n, v in values.items())
    return f"{said}; how well the audit finds these: {', '.join(shown)}"


def page_line(page: Path | None) -> Iterator[Text]:
    """Where the page is; nothing if there is none, or if it goes to standard output."""
    if page is not None and str(page) != "-":
        yield plain(f"page: {page} (open it in a browser and decide)")


def _sentence(audit: Audit) -> str:
    from rsretrieve.export.html.reasons import TYPE_NAMES

    types = [f"{count} {TYPE_NAMES[name]}" for name, count in audit.issue_counts.items() if count]
    review = len(audit.to_review)
    parts = f"; {review} tiles to review: {', '.join(types)}" if types else ""
    if more := review - len(audit.issues):
        parts += f" ({more} of them with a label that is not flagged: {_other_kinds(audit)})"
    counts = f"{len(audit.issues)} of {len(audit.table)} labels flagged"
    wrong_left, left = audit.wrong_left, ""
    if wrong_left is not None and wrong_left.undecided < len(audit.table):
        left = f"; {wrong_left.summary}"
    return f"{counts}; {audit.noise_summary}{left}{parts}"


def _other_kinds(audit: Audit) -> str:
    """The kinds of issue of the tiles to review whose label is not flagged."""
    from rsretrieve.audit.result_table import tuples_of
    from rsretrieve.export.html.reasons import TYPE_NAMES

    rows = tuples_of(audit.to_review, ("kind", "is_label_issue"))
    kinds = {kind for kind, is_flagged in rows if not is_flagged}
    return " or ".join(name for kind, name in TYPE_NAMES.items() if kind in kinds)


def _worst(audit: Audit) -> Table:
    from rsretrieve.audit.result_table import rows_of
    from rsretrieve.export.html.reasons import TYPE_NAMES, score_text

    shown = rows_of(audit.to_review.slice(0, WORST_SHOWN))
    title = f"the worst {len(shown)} of {len(audit.to_review)} tiles to review"
    table = plain_table(title, "label score", "given", "suggested", "kind", "tile")
    for row in shown:
        twin = "" if row["twin"] is None else f" (near-duplicate: {row['twin']})"
        table.add_row(
            score_text(row["label_score"]),
            plain(row["given_label"]),
            plain(row["suggested_label"]),
            TYPE_NAMES[row["kind"]],
            plain(row["tile"] + twin),
        )
    return table


def _classes(audit: Audit) -> Table:
    table = plain_table(
        "issues by given label", "label", "tiles", "issues", "noise rate", "95% interval", ""
    )
    for entry in sorted(audit.per_class, key=lambda entry: -(entry.noise_rate or 0)):
        bar = "█" * round(20 * (entry.noise_rate or 0))
        low, high = entry.interval
        rate = "–" if entry.noise_rate is None else f"{entry.noise_rate:.1%}"
        shares = rate, f"{low:.0%} to {high:.0%}"
        table.add_row(plain(entry.label), str(entry.tiles), str(entry.issues), *shares, bar)
    return table
