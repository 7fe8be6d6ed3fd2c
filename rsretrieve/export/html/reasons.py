"""Explain in one sentence why a tile should be reviewed."""

from __future__ import annotations

from rsretrieve.audit.issue_types import SMALLEST_CLASS, IssueType
from rsretrieve.audit.result_table import Row

TYPE_NAMES = {
    IssueType.WRONG_LABEL: "wrong label",
    IssueType.AMBIGUOUS: "ambiguous",
    IssueType.OFF_TOPIC: "off-topic",
    IssueType.DUPLICATE: "duplicate with two labels",
    IssueType.RARE_CLASS: "rare class",
}

TYPE_MEANINGS = {
    IssueType.WRONG_LABEL: "Another class is likelier than the given one.",
    IssueType.AMBIGUOUS: "Two classes are about as likely.",
    IssueType.OFF_TOPIC: "No class is near.",
    IssueType.DUPLICATE: "Nearly the same pixels (without images, nearly the same embedding) have "
    "another label elsewhere.",
    IssueType.RARE_CLASS: f"A class of fewer than {SMALLEST_CLASS} tiles is too small to judge by.",
}


_LEAST_SHOWN = 0.001


def score_text(score: float) -> str:
    """A label score with three digits; very small scores are not spelled out."""
    return f"{score:.3g}" if score >= _LEAST_SHOWN else f"<{_LEAST_SHOWN}"


def reason_for(row: Row, twin_label: str | None, *, compares_pixels: bool = True) -> str:
    """Why a tile should be reviewed.

    Args:
        row: its row of the findings.
        twin_label: label of its near-duplicate, if it has one.
        compares_pixels: the near-duplicate was found by pixels, not by embeddings alone.
    """
    given, near = row["given_label"], row["predicted_label"]
    own, best = row["own_similarity"], row["predicted_similarity"]
    match row["kind"]:
        case IssueType.DUPLICATE if twin_label is not None:
            same = "The same pixels are" if compares_pixels else "Nearly the same embedding is"
            return (
                f"{same} labelled {twin_label} in {row['twin']}. "
                f"The likeliest class is {near} (similarity {best:.2f})."
            )
        case IssueType.OFF_TOPIC:
            return f"No class is near; the likeliest, {near}, has a similarity of only {best:.2f}."
        case IssueType.AMBIGUOUS:
            return (
                f"It may be {near} (similarity {best:.2f}) as well as {row['runner_up_label']} "
                f"({row['runner_up_similarity']:.2f}); {given} has {own:.2f}{_odds(row)}."
            )
        case IssueType.RARE_CLASS:
            return (
                f"It looks more like {near} ({best:.2f}) than {given} ({own:.2f}), but one of "
                f"the two has fewer than {SMALLEST_CLASS} tiles, too few to judge by."
            )
        case _:
            return (
                f"It looks like {near} (similarity {best:.2f}), not like {given} ({own:.2f})"
                f"{_odds(row)}."
            )


def _odds(row: Row) -> str:
    """The probability that the label is wrong, and the neighbours' votes if they are known."""
    said = f"; wrong with probability {row['issue_probability']:.2f}"
    if row["neighbour_share"] is None:
        return said
    return f"{said}, and {row['neighbour_share']:.0%} of its neighbours' votes are for the label"
