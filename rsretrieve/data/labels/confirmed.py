"""Labels that a person decided on: they are trusted and never flagged again."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Rule(StrEnum):
    """How a label was decided on."""

    ACCEPT = "accept"  # the reviewer accepted the suggestion
    REJECT = "reject"  # the reviewer kept the given label
    CHOOSE = "choose"  # the reviewer chose another label
    REMOVE = "remove"  # the reviewer removed the label: the tile belongs to no class
    SKIP = "skip"  # the reviewer left the label open
    PERSON = "person"  # a labels file of a person, without the column "decision"
    SUGGESTION = "suggestion"  # the suggestion was applied without review
    UNDECIDED = "undecided"  # nobody has decided on the label

    @property
    def confirms(self) -> bool:
        """Whether a person decided that the label is right, or that the tile has none."""
        return self not in (Rule.SKIP, Rule.SUGGESTION, Rule.UNDECIDED)


@dataclass(frozen=True, slots=True)
class ConfirmedLabel:
    """A decision of a person on the label of a tile.

    Attributes:
        rule: how; a rule that confirms.
        original: the label before a person decided on it; None if it is unknown.
    """

    rule: Rule
    original: str | None = None


def contradiction(rule: Rule, label: str | None, given: str | None, suggested: str | None) -> str:
    """What is wrong with a decision; an empty text if its cells agree.

    Args:
        rule: the decision.
        label: the label after it.
        given: the label before it; None if unknown.
        suggested: the label that was suggested; None if unknown.
    """
    if rule is Rule.REMOVE:
        return f"it removes the label, and sets it to {label!r}" if label is not None else ""
    if rule is Rule.SKIP:
        wrong = label is not None and given is not None and label != given
        return f"it is skipped, and changes {given!r} to {label!r}" if wrong else ""
    if label is None and rule in (Rule.ACCEPT, Rule.REJECT, Rule.CHOOSE):
        return f"{rule.value!r} needs a label, and the cell is empty"
    expected = {Rule.ACCEPT: suggested, Rule.REJECT: given}.get(rule)
    if expected is None or label == expected:
        return ""
    what = "accepts the suggestion" if rule is Rule.ACCEPT else "keeps the given label"
    return f"it {what} {expected!r}, and sets the label to {label!r}"
