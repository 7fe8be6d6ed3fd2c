"""An audit, and decisions on labels, as text for people and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.table import Table

from rsretrieve.cli.io.text_tables import plain, plain_table

if TYPE_CHECKING:
    from rsretrieve.audit.result import Audit
    from rsretrieve.audit.review import Decided

WORST_SHOWN = 20


def audit_result(audit: Audit, device: str, decided: Decided | None) -> tuple[Any, ...]:
    """The JSON object, then what is printed for people."""
    from rsretrieve.export.results import audit_json

    content = audit_json(audit, device)
    if decided is not None:
        content |= _decisions_json(decided)
    return content, *audit_summary(audit)


def decisions_result(decided: Decided) -> tuple[Any, ...]:
    """The JSON object, then a line for people, where decisions were put on labels and no more."""
    counts = _decisions_json(decided)
    line = (
        f"{counts['decisions']} of {len(decided.tiles)} labels were decided on, "
        f"{counts['changed']} of them changed"
    )
    return {"tiles": len(decided.tiles), **counts}, plain(line)


def _decisions_json(decided: Decided) -> dict[str, int]:
    changed = sum(change.changes_label for change in decided.changes)
    return {"decisions": len(decided.changes), "changed": changed}


def audit_summary(audit: Audit) -> Iterator[RenderableType]:
    """The worst labels, the classes with a bar each, and a sentence."""
    if audit.to_check:
        yield _worst(audit)
        yield _classes(audit)
    yield plain(_sentence(audit))
    if audit.figures is not None:
        names = ("noise_rate", "auroc", "average_precision", "precision", "recall", "f1")
        values = {name: getattr(audit.figures, name) for name in (*names, "suggestion_accuracy")}
        shown = (f"{n} {'–' if v is None else format(v, '.4f')}" for n, v in values.items())
        yield plain("against the truth: " + ", ".join(shown))


def _sentence(audit: Audit) -> str:
    from rsretrieve.export.html.reasons import KIND_NAMES

    kinds = [f"{count} {KIND_NAMES[kind]}" for kind, count in audit.kinds.items() if count]
    parts = f"; to look at: {', '.join(kinds)}" if kinds else ""
    low, high = audit.interval
    return (
        f"{len(audit.issues)} of {len(audit.tiles)} labels are called wrong; about "
        f"{audit.noise_rate:.1%} of all are (95 % interval {low:.1%} to {high:.1%}){parts}"
    )


def _worst(audit: Audit) -> Table:
    from rsretrieve.export.html.reasons import KIND_NAMES, score_text

    shown = audit.to_check[:WORST_SHOWN]
    title = f"the worst {len(shown)} of {len(audit.to_check)} tiles that need a look"
    table = plain_table(title, "label score", "given", "suggested", "kind", "tile")
    for audited in shown:
        kind = "wrong label" if audited.kind is None else KIND_NAMES[audited.kind]
        twin = f" (twin: {audited.twin.id})" if audited.twin is not None else ""
        table.add_row(
            score_text(audited.label_score),
            plain(str(audited.tile.label)),
            plain(audited.suggested_label),
            kind,
            plain(audited.tile.id + twin),
        )
    return table


def _classes(audit: Audit) -> Table:
    table = plain_table(
        "issues by given label", "label", "tiles", "issues", "thought wrong", "95 %", ""
    )
    for entry in sorted(audit.per_class, key=lambda entry: -entry.noise_rate):
        bar = "█" * round(20 * entry.noise_rate)
        low, high = entry.interval
        shares = f"{entry.noise_rate:.1%}", f"{low:.0%} to {high:.0%}"
        table.add_row(plain(entry.label), str(entry.tiles), str(entry.issues), *shares, bar)
    return table
