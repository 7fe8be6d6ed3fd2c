"""What is assumed about the curve of relevance before any answer.

The values of the prior were chosen on UC Merced, with an embedding that never saw its labels; see
"Find them all" in benchmarks/RESULTS.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_THRESHOLDS = 44
_STEEPNESS = np.geomspace(0.7, 8, 10)
_TOP = {1.0: 0.3, 0.97: 0.25, 0.9: 0.2, 0.75: 0.15, 0.5: 0.1}
_SCATTERED = {0.0: 0.3, 0.03: 0.25, 0.1: 0.2, 0.3: 0.15, 1.0: 0.1}
_MOST_SCATTERED = 0.5


@dataclass(frozen=True)
class CurvePrior:
    """A grid of curves, and the weight of each.

    Attributes:
        size: N, the number of ranks.
        log_threshold, steepness, top, scattered: (G,) log t, b, c and h.
        log_weights: (G,) logarithms of the weights.
    """

    size: int
    log_threshold: Floats
    steepness: Floats
    top: Floats
    scattered: Floats
    log_weights: Floats

    @classmethod
    def of(cls, size: int) -> CurvePrior:
        """The prior for N ranks: every order of magnitude of the threshold is as likely."""
        thresholds = np.linspace(np.log(0.7), np.log(max(size * 0.7, 1.0)), _THRESHOLDS)
        axes = (thresholds, _STEEPNESS, np.array([*_TOP]), np.array([*_SCATTERED]))
        threshold, steepness, top, scattered = (
            axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")
        )
        shares = np.multiply.outer(np.array([*_TOP.values()]), np.array([*_SCATTERED.values()]))
        weights = np.broadcast_to(np.log(shares), (*map(len, axes),)).ravel()
        return cls(size, threshold, steepness, top, scattered, np.array(weights))

    def probabilities(self, ranks: Floats, kept: NDArray[np.bool_] | None = None) -> Floats:
        """The probability at some ranks (R,), for the kept curves or all: (G, R)."""
        kept = np.ones(len(self.top), bool) if kept is None else kept
        threshold, steepness, top, scattered = (
            values[kept][:, None]
            for values in (self.log_threshold, self.steepness, self.top, self.scattered)
        )
        core = top / (1 + np.exp(steepness * (np.log(ranks)[None] - threshold)))
        everywhere = np.minimum(scattered * np.exp(threshold) / self.size, _MOST_SCATTERED)
        return np.asarray(core + (1 - core) * everywhere)
