"""What a training sees of each tile on the way: the area under its margin.

    margin = log p_{i,y_i} − max_{c ≠ y_i} log p_ic        of the label given
    area   = its mean over all the epochs

(Pleiss et al., NeurIPS 2020.) A right label is believed soon; a wrong one is learned by
heart late, or never. Each batch's probabilities are there anyway: it costs no second look.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Margins:
    """Sums up margins as batches go by.

    Args:
        tiles: N.
        device: where batches are.
    """

    def __init__(self, tiles: int, device: torch.device) -> None:
        self._sums = torch.zeros(tiles, device=device)
        self._counts = torch.zeros(tiles, device=device)

    def note(self, positions: Tensor, log_p: Tensor, given: Tensor) -> None:
        """Note a batch: (B,) rows of the tiles, (B, K) log p_ic, (B,) labels as given."""
        log_p = log_p.detach().float()
        own = log_p.gather(1, given[:, None])
        others = log_p.scatter(1, given[:, None], -torch.inf)
        self._sums[positions] += (own.squeeze(1) - others.amax(dim=1)).clamp(-1e4, 1e4)
        self._counts[positions] += 1

    @property
    def areas(self) -> NDArray[np.float32]:
        """(N,) mean margins in nats, lower is worse; NaN where nothing was seen of a tile."""
        return np.asarray((self._sums / self._counts).cpu().numpy(), np.float32)

    def tensors(self) -> dict[str, Tensor]:
        """For a checkpoint."""
        return {"sums": self._sums, "counts": self._counts}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """The inverse of `tensors`."""
        self._sums, self._counts = tensors["sums"], tensors["counts"]
