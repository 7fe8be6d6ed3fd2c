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


def percent(probability: float) -> str:
    """A probability in per cent; neither 0 nor 100, because no probability is certain.

    >>> percent(0.876), percent(0.001), percent(0.9999)
    ('88%', '<1%', '>99%')
    """
    rounded = round(100 * probability)
    return "<1%" if rounded < 1 else ">99%" if rounded > 99 else f"{rounded}%"


def reason_for(
    row: Row,
    duplicate_label: str | None,
    *,
    compares_pixels: bool | None = True,
    has_probabilities: bool = True,
) -> str:
    """Why a tile should be reviewed.

    Args:
        row: its row of the findings.
        duplicate_label: label of its near-duplicate, if it has one.
        compares_pixels: the near-duplicate was found by pixels, not by embeddings alone; None if
            that is not known.
        has_probabilities: the scores are probabilities; otherwise they only rank the labels, and
            no probability is said.
    """
    given, near, other = row["given_label"], row["predicted_label"], row["runner_up_label"]

    def told(label: str) -> str:
        probability = probability_of(row, label) if has_probabilities else None
        return label if probability is None else f"{label} ({percent(probability)})"

    match row["kind"]:
        case IssueType.DUPLICATE if duplicate_label is not None:
            what = {True: "pixels", False: "embedding", None: "content"}[compares_pixels]
            return (
                f"{row['twin']} has nearly the same {what} and the label {duplicate_label}. "
                f"The most probable class is {told(near)}."
            )
        case IssueType.OFF_TOPIC:
            return f"Far from every class; the nearest is {near}. It may belong to no class."
        case IssueType.AMBIGUOUS if other == given:
            return f"Either {told(near)} or {told(given)}{_votes(row)}."
        case IssueType.AMBIGUOUS:
            return f"Either {told(near)} or {told(other)}, not {told(given)}{_votes(row)}."
        case IssueType.RARE_CLASS:
            return (
                f"More similar to {near} than to {given}, but one of the two classes has fewer "
                f"than {SMALLEST_CLASS} tiles, too few for a decision."
            )
        case _:
            return f"Probably {told(near)}, not {told(given)}{_votes(row)}."


def probability_of(row: Row, label: str) -> float | None:
    """The probability of a class for a tile; None if the audit does not say."""
    known = {
        row["second_label"]: row["second_probability"],
        row["suggested_label"]: row["suggested_probability"],
        row["predicted_label"]: row["predicted_probability"],
        row["given_label"]: row["label_score"],
    }
    found: float | None = known.get(label)
    return found


def _votes(row: Row) -> str:
    """The neighbours' votes for the given label, if they are known."""
    if row["neighbour_share"] is None:
        return ""
    return f"; {row['neighbour_share']:.0%} of the neighbours' votes support {row['given_label']}"
