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
    IssueType.WRONG_LABEL: "Another class is more probable than the given one.",
    IssueType.AMBIGUOUS: "Two classes are about equally probable.",
    IssueType.OFF_TOPIC: "The tile is far from every class.",
    IssueType.DUPLICATE: "A near-duplicate (by pixels; without images, by embedding) "
    "has another label.",
    IssueType.RARE_CLASS: f"A class with fewer than {SMALLEST_CLASS} tiles is too small to audit.",
}


_LEAST_SHOWN = 0.001


def score_text(score: float) -> str:
    """A label score with three digits; very small scores are not spelled out."""
    return f"{score:.3g}" if score >= _LEAST_SHOWN else f"<{_LEAST_SHOWN}"


def reason_for(row: Row, duplicate_label: str | None, *, compares_pixels: bool = True) -> str:
    """Why a tile should be reviewed.

    Args:
        row: its row of the findings.
        duplicate_label: label of its near-duplicate, if it has one.
        compares_pixels: the near-duplicate was found by pixels, not by embeddings alone.
    """
    given, near = row["given_label"], row["predicted_label"]
    own, best = row["own_similarity"], row["predicted_similarity"]
    match row["kind"]:
        case IssueType.DUPLICATE if duplicate_label is not None:
            what = "pixels" if compares_pixels else "embedding"
            return (
                f"{row['twin']} has nearly the same {what} and the label {duplicate_label}. "
                f"The most probable class is {near} (similarity {best:.2f})."
            )
        case IssueType.OFF_TOPIC:
            return f"Far from every class; {near}, the most probable, has similarity {best:.2f}."
        case IssueType.AMBIGUOUS:
            return (
                f"Either {near} (similarity {best:.2f}) or {row['runner_up_label']} "
                f"({row['runner_up_similarity']:.2f}); {given} has {own:.2f}{_odds(row)}."
            )
        case IssueType.RARE_CLASS:
            return (
                f"More similar to {near} ({best:.2f}) than to {given} ({own:.2f}), but one of "
                f"the two classes has fewer than {SMALLEST_CLASS} tiles, too few for a decision."
            )
        case _:
            return f"Probably {near} (similarity {best:.2f}), not {given} ({own:.2f}){_odds(row)}."


def _odds(row: Row) -> str:
    """The probability that the label is wrong, and the neighbours' votes if they are known."""
    text = f"; wrong with probability {row['issue_probability']:.2f}"
    if row["neighbour_share"] is None:
        return text
    return f"{text}; {row['neighbour_share']:.0%} of the neighbours' votes support the label"
