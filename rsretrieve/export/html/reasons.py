"""Why a label was picked out, in a sentence."""

from __future__ import annotations

from rsretrieve.audit.issue_types import SMALLEST_CLASS, IssueKind
from rsretrieve.audit.result import AuditedTile

KIND_NAMES = {
    IssueKind.WRONG_LABEL: "wrong label",
    IssueKind.AMBIGUOUS: "ambiguous",
    IssueKind.OFF_TOPIC: "off-topic",
    IssueKind.DUPLICATE: "duplicate with two labels",
    IssueKind.RARE_CLASS: "rare class",
}

KIND_MEANINGS = {
    IssueKind.WRONG_LABEL: "Another class is likelier than the given one.",
    IssueKind.AMBIGUOUS: "Two classes are about as likely.",
    IssueKind.OFF_TOPIC: "No class is near.",
    IssueKind.DUPLICATE: "Nearly the same pixels (without images, nearly the same embedding) have "
    "another label elsewhere.",
    IssueKind.RARE_CLASS: f"A class of fewer than {SMALLEST_CLASS} tiles is too small to judge by.",
}


_LEAST_SHOWN = 0.001


def score_text(score: float) -> str:
    """A label's score for people, to whom 1e-16 says no more than 1e-5."""
    return f"{score:.3g}" if score >= _LEAST_SHOWN else f"<{_LEAST_SHOWN}"


def reason_for(audited: AuditedTile, *, compares_pixels: bool = True) -> str:
    """Why a tile needs a look.

    Args:
        audited: the tile.
        compares_pixels: its twin was told by its pixels, not by its embedding alone.
    """
    given, near = str(audited.tile.label), audited.predicted_label
    own, best = audited.own_similarity, audited.predicted_similarity
    match audited.kind:
        case IssueKind.DUPLICATE if audited.twin is not None:
            same = "The same pixels are" if compares_pixels else "Nearly the same embedding is"
            return (
                f"{same} labelled {audited.twin.label} in {audited.twin.id}. "
                f"The likeliest class is {near} (similarity {best:.2f})."
            )
        case IssueKind.OFF_TOPIC:
            return f"No class is near; the likeliest, {near}, has a similarity of only {best:.2f}."
        case IssueKind.AMBIGUOUS:
            return (
                f"It may be {near} (similarity {best:.2f}) as well as {audited.runner_up_label} "
                f"({audited.runner_up_similarity:.2f}); {given} has {own:.2f}{_odds(audited)}."
            )
        case IssueKind.RARE_CLASS:
            return (
                f"It looks more like {near} ({best:.2f}) than {given} ({own:.2f}), but one of "
                f"the two has fewer than {SMALLEST_CLASS} tiles, too few to judge by."
            )
        case _:
            return (
                f"It looks like {near} (similarity {best:.2f}), not like {given} ({own:.2f})"
                f"{_odds(audited)}."
            )


def _odds(audited: AuditedTile) -> str:
    """How likely the label is wrong, and what its neighbours say, where that is known."""
    said = f"; wrong with probability {audited.issue_probability:.2f}"
    if audited.neighbour_share is None:
        return said
    return f"{said}, and {audited.neighbour_share:.0%} of its neighbours' votes are for the label"
