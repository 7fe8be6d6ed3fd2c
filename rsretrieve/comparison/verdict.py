"""One sentence that says which choice is better, or that it cannot be told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rsretrieve.comparison.paired_difference import CONFIDENCE, PairedDifference
from rsretrieve.errors import InvalidArgument

METRIC_NAMES = {"map": "mAP", "map_at_r": "mAP@R", "knn_accuracy": "K-NN accuracy"}
DETECTED = 0.01
_MOST_SEEDS = 50


def check_detected(difference: float) -> None:
    """Raise `InvalidArgument` for a difference to detect that is not above 0 and at most 1.

    Every figure that is compared lies in 0…1.
    """
    if not 0 < difference <= 1:
        raise InvalidArgument(
            f"the difference to detect must be above 0 and at most 1, not {difference:g}"
        )


@dataclass(frozen=True)
class Judged:
    """A comparison of two choices.

    Attributes:
        choice, baseline: their names.
        difference: of the figure; None if too few of the trainings are finished.
        metric: the figure.
        detected: the difference that should be detected.
    """

    choice: str
    baseline: str
    difference: PairedDifference | None
    metric: str = "map"
    detected: float = DETECTED

    @property
    def sentence(self) -> str:
        """The verdict, without a full stop."""
        found = self.difference
        if found is None:
            return f"{self.choice} cannot be compared with {self.baseline}: too few seeds finished"
        if found.is_shown:
            word = "better" if found.estimate > 0 else "worse"
            return (
                f"{self.choice} is {word} than {self.baseline} by {abs(found.estimate):.3f} "
                f"{metric_name(self.metric)}, {_interval(found)}"
            )
        return (
            f"no difference can be shown between {self.choice} and {self.baseline} "
            f"({_with_sign(found.estimate)} {metric_name(self.metric)}, {_interval(found)}); "
            f"{needed(found, self.detected)}"
        )


def needed(found: PairedDifference, detected: float) -> str:
    """What it would take to show a difference of this size."""
    have = len(found.by_seed)
    seeds = found.seeds_for(detected)
    if seeds is not None and seeds <= have:
        return f"an estimated difference of {detected:g} or more would have been shown"
    if seeds is not None and seeds - have <= _MOST_SEEDS:
        more = seeds - have
        plural = "seed" if more == 1 else "seeds"
        return f"{more} more {plural} would be needed for {detected:g}"
    if seeds is not None:
        return f"more than {_MOST_SEEDS} more seeds would be needed for {detected:g}"
    return (
        f"more seeds would not suffice for {detected:g}; about "
        f"{_two_digits(found.queries_for(detected))} test tiles and more seeds would be needed, "
        f"there are {found.queries}"
    )


def metric_name(metric: str) -> str:
    """The name of a figure for people.

    >>> metric_name("map"), metric_name("precision_at_10")
    ('mAP', 'P@10')
    """
    for long, short in (("precision_at_", "P@"), ("recall_at_", "R@")):
        if metric.startswith(long):
            return short + metric.removeprefix(long)
    return METRIC_NAMES[metric]


def overall(judged: Sequence[Judged]) -> str:
    """All verdicts, and how several are corrected for."""
    text = " ".join(f"{_begun(one.sentence)}." for one in judged)
    if len(judged) < 2:
        return text
    return f"{text} {correction(len(judged))}"


def correction(count: int) -> str:
    """What the intervals of several comparisons mean."""
    level = 1 - (1 - CONFIDENCE) / count
    return (
        f"The {count} intervals hold all together with {CONFIDENCE:.0%}: each is one of "
        f"{100 * level:.4g} % (Bonferroni)."
    )


def _begun(sentence: str) -> str:
    """With a capital letter, unless the name of a choice comes first."""
    return f"No{sentence.removeprefix('no')}" if sentence.startswith("no ") else sentence


def _interval(found: PairedDifference) -> str:
    low, high = found.low, found.high
    if found.estimate < 0 and found.is_shown:  # a size, as the difference before it
        low, high = -high, -low
    return f"{100 * found.confidence:.4g} % {_signed(low)}…{_signed(high)}"


def _signed(value: float) -> str:
    """Three digits, more where a value that is not zero would look like zero."""
    digits = next((d for d in range(3, 7) if round(abs(value), d) > 0), 3)
    return f"{value:.{digits}f}".replace("-", "−")


def _with_sign(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")


def _two_digits(count: int) -> str:
    scale = 10 ** max(0, len(str(count)) - 2)
    return f"{-(-count // scale) * scale:,}"
