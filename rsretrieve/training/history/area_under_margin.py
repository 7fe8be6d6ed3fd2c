"""How far each training tile's given label leads, recorded while the network trains.

    margin = log p_{i,y_i} − max_{c ≠ y_i} log p_ic        for the given label y_i
    area   = mean of the margin over all epochs            (Pleiss et al., NeurIPS 2020)
    logit margin = the margin of the mean of p_i over all epochs    (Pickler et al. 2025)

A network learns correct labels early and memorises wrong ones late, so a wrong label has a small
area and a small logit margin. The probabilities come from the training batches themselves:
recording them needs no additional forward pass.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_LARGEST_MARGIN = 1e4  # a probability of 0 has an infinite margin
_LEAST = 1e-30

MOST_PROBABILITIES = 100_000_000
"""Above this many tiles times classes, no mean probabilities are kept (400 MB in memory)."""


class AreaUnderMargin:
    """Adds up the margins of training batches.

    Args:
        tiles: N.
        device: device of the batches.
    """

    def __init__(self, tiles: int, device: torch.device) -> None:
        self._sums = torch.zeros(tiles, device=device)
        self._counts = torch.zeros(tiles, device=device)

    def update(self, positions: Tensor, log_p: Tensor, given: Tensor) -> None:
        """Add the margins of a batch.

        Args:
            positions: (B,) int64, the rows of the tiles among the N.
            log_p: (B, K) log p_ic.
            given: (B,) int64, the given labels.
        """
        log_p = log_p.detach().float()
        own = log_p.gather(1, given[:, None]).squeeze(1)
        others = log_p.scatter(1, given[:, None], -torch.inf).amax(dim=1)
        self._sums[positions] += (own - others).clamp(-_LARGEST_MARGIN, _LARGEST_MARGIN)
        self._counts[positions] += 1

    @property
    def areas(self) -> NDArray[np.float32]:
        """(N,) mean margins in nats, lower is worse; NaN for tiles without a margin."""
        return np.asarray((self._sums / self._counts).cpu().numpy(), np.float32)

    def tensors(self) -> dict[str, Tensor]:
        """The state, for a checkpoint."""
        return {"sums": self._sums, "counts": self._counts}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Set the state to one that `tensors` returned."""
        self._sums, self._counts = tensors["sums"], tensors["counts"]


class MeanProbabilities:
    """Adds up the class probabilities of training batches.

    Args:
        tiles: N.
        classes: K. Nothing is kept if N times K is more than `MOST_PROBABILITIES`.
        device: device of the batches.
    """

    def __init__(self, tiles: int, classes: int, device: torch.device) -> None:
        self._tiles = tiles
        rows = tiles if tiles * classes <= MOST_PROBABILITIES else 0
        self._sums: Tensor | None = torch.zeros((rows, classes), device=device) if rows else None

    def update(self, positions: Tensor, log_p: Tensor) -> None:
        """Add the probabilities of a batch.

        Args:
            positions: (B,) int64, the rows of the tiles among the N.
            log_p: (B, K) log p_ic.
        """
        if self._sums is not None:
            self._sums[positions] += log_p.detach().float().exp()

    def margins(self, given: Tensor) -> NDArray[np.float32]:
        """The logit margins of the given labels.

        Args:
            given: (N,) int64, the given labels.

        Returns:
            (N,) float32 in nats, lower is worse; NaN for tiles without probabilities.
        """
        if self._sums is None:
            return np.full(self._tiles, np.nan, np.float32)
        own = self._sums.gather(1, given[:, None]).squeeze(1)
        others = self._sums.scatter(1, given[:, None], 0).amax(dim=1)
        found = own.clamp(min=_LEAST).log() - others.clamp(min=_LEAST).log()
        is_known = self._sums.any(dim=1)
        return np.asarray(found.where(is_known, torch.nan).cpu().numpy(), np.float32)

    def tensors(self) -> dict[str, Tensor]:
        """The state, for a checkpoint."""
        return {} if self._sums is None else {"sums": self._sums}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Set the state to one that `tensors` returned.

        A checkpoint of an older version has none: the epochs before it are unknown, and then
        nothing is kept.
        """
        self._sums = tensors.get("sums")
