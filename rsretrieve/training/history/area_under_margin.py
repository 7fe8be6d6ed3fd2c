"""The area under the margin of each training tile, recorded while the network trains.

    margin = log p_{i,y_i} − max_{c ≠ y_i} log p_ic        for the given label y_i
    area   = mean of the margin over all epochs

(Pleiss et al., NeurIPS 2020.) A network learns correct labels early and memorises wrong ones
late, so a wrong label has a small area. The probabilities come from the training batches
themselves: recording them needs no additional forward pass.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_LARGEST_MARGIN = 1e4  # a probability of 0 has an infinite margin


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
