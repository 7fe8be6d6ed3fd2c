"""Metrics of an audit against true labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class AuditFigures:
    """How well wrong labels were detected; a metric is None if it is not defined.

    Attributes:
        noise_rate: share of wrong labels.
        auroc: probability that a wrong label has a worse score than a correct one.
        average_precision: of the ranking of labels by score, the worst first.
        precision, recall, f1: of the labels flagged as issues.
        suggestion_accuracy: share of correct suggestions among the flagged wrong labels.
    """

    noise_rate: float
    auroc: float | None
    average_precision: float | None
    precision: float | None
    recall: float | None
    f1: float | None
    suggestion_accuracy: float | None


def audit_figures(
    badness: NDArray[np.float64],
    flagged: NDArray[np.bool_],
    wrong: NDArray[np.bool_],
    suggestion_right: NDArray[np.bool_],
) -> AuditFigures:
    """Compute all metrics.

    Args:
        badness: (N,) float64, scores; higher is worse.
        flagged: (N,) bool, labels flagged as issues.
        wrong: (N,) bool, labels that are wrong.
        suggestion_right: (N,) bool, whether the suggested label is the true one.
    """
    hits = int((flagged & wrong).sum())
    precision = _share(hits, int(flagged.sum()))
    recall = _share(hits, int(wrong.sum()))
    return AuditFigures(
        noise_rate=float(wrong.sum() / max(len(wrong), 1)),
        auroc=auroc(badness, wrong),
        average_precision=average_precision(badness, wrong),
        precision=precision,
        recall=recall,
        f1=_share(2 * hits, int(flagged.sum() + wrong.sum())),
        suggestion_accuracy=_share(int((flagged & wrong & suggestion_right).sum()), hits),
    )


def auroc(badness: NDArray[np.float64], wrong: NDArray[np.bool_]) -> float | None:
    """Area under the ROC curve; ties count half (Mann–Whitney U statistic).

    Args:
        badness: (N,) float64, scores; higher is worse.
        wrong: (N,) bool.

    Returns:
        0…1; None if all labels or no labels are wrong.
    """
    bad, good = int(wrong.sum()), int((~wrong).sum())
    if not bad or not good:
        return None
    _, inverse, counts = np.unique(badness, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(counts) - (counts - 1) / 2
    rank_sum = mean_rank[inverse][wrong].sum()
    return float((rank_sum - bad * (bad + 1) / 2) / (bad * good))


def average_precision(badness: NDArray[np.float64], wrong: NDArray[np.bool_]) -> float | None:
    """Average precision: Σ (R_n − R_{n−1})·P_n over the thresholds n.

    Args:
        badness: (N,) float64, scores; higher is worse. Equal scores are one threshold.
        wrong: (N,) bool.

    Returns:
        0…1; None if no label is wrong.
    """
    if not wrong.any():
        return None
    order = np.argsort(-badness)
    ends = np.append(np.flatnonzero(np.diff(badness[order])), len(order) - 1)
    hits = wrong[order].cumsum()[ends]
    precisions = hits / (ends + 1)
    return float((np.diff(hits, prepend=0) * precisions).sum() / wrong.sum())


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
