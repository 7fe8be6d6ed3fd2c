"""What stands above the cards of a page: how much is wrong, in all and by class."""

from __future__ import annotations

from html import escape

from rsretrieve._core.text import printable
from rsretrieve.audit.result import Audit, ClassIssues


def summary(audit: Audit, shown: int, models: tuple[str, ...]) -> str:
    """How many labels are flagged, and how many of them are on the page.

    Args:
        audit: the result.
        shown: number of tiles with a card.
        models: the model folders, as the user named them.

    Returns:
        HTML.
    """
    issues, to_review = len(audit.issues), len(audit.to_review)
    count = f"{issues:,} of {len(audit.table):,} labels flagged"
    others = to_review - issues
    more = f"; {others:,} more tiles to review" if others else ""
    least = f" Only the worst {shown:,} are shown." if shown < to_review else ""
    by = f" Scored by {_named(models)}." if models else ""
    return f"{count}; {audit.noise_summary}{more}. The worst labels come first.{least}{by}"


def class_table(audit: Audit) -> str:
    """The classes by their noise rate, as an HTML table."""
    rows = "\n".join(
        f'<tr><th scope="row">{text(entry.label)}</th><td class="number">{entry.issues}</td>'
        f'<td class="number">{entry.tiles}</td>'
        f"<td>{_meter(entry)} "
        f"<small>({entry.interval[0]:.0%} to {entry.interval[1]:.0%})</small></td></tr>"
        for entry in sorted(audit.per_class, key=lambda entry: -(entry.noise_rate or 0))
    )
    head = "".join(
        f'<th scope="col">{name}</th>'
        for name in ("given label", "issues", "tiles", "estimated noise rate")
    )
    return f"<table>\n<tr>{head}</tr>\n{rows}\n</table>"


def text(content: str) -> str:
    """A text of a stranger as HTML."""
    return escape(printable(content))


def _named(models: tuple[str, ...]) -> str:
    """One model, or several, in words."""
    if len(models) == 1:
        return f"the model {text(models[0])}"
    return f"the models {', '.join(map(text, models[:-1]))} and {text(models[-1])}"


def _meter(entry: ClassIssues) -> str:
    if entry.noise_rate is None:
        return "–"
    name = f"estimated noise rate of {text(entry.label)}"
    rate = entry.noise_rate
    return f'<meter value="{rate:.4f}" aria-label="{name}"></meter> {rate:.0%}'
