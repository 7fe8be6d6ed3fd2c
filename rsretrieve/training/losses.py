"""The losses NSL, RNSL and t-RNSL, each as a pure function.

Kang, Fernandez-Beltran, Duan, Kang, Plaza: "Robust Normalized Softmax Loss for Deep Metric
Learning-based Characterization of Remote Sensing Images with Label Noise", IEEE TGRS 2020,
DOI 10.1109/TGRS.2020.3042607. With v_i the unit embedding of tile i, w_c the unit prototype
of class c and σ the temperature,

    p_ic = exp(w_c·v_i / σ) / Σ_j exp(w_j·v_i / σ).

All losses are computed from log p, never from a rounded p, so that they and their gradients stay
finite for p near 0 or 1.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from rsretrieve.enums import LossName
from rsretrieve.errors import InvalidArgument


def label_log_probability(log_p: Tensor, labels: Tensor) -> Tensor:
    """Select the log-probability of each tile's label.

    Args:
        log_p: (B, K) log p_ic.
        labels: (B,) int64 class numbers.

    Returns:
        (B,) log p_{i,y_i}.
    """
    return log_p.gather(1, labels[:, None]).squeeze(1)


def nsl(log_p: Tensor) -> Tensor:
    """Normalized softmax loss, −log p (Zhai & Wu 2019).

    Args:
        log_p: (B,) log p_{i,y_i}.

    Returns:
        (B,) at least 0.

    >>> nsl(torch.tensor([0.5]).log())
    tensor([0.6931])
    """
    return -log_p


def rnsl(log_p: Tensor, q: float) -> Tensor:
    """Robust normalized softmax loss, (1 − p^q) / q, the negative Box–Cox transformation.

    Its gradient is that of NSL times p^q; q → 0 gives NSL, q = 1 gives 1 − p.

    Args:
        log_p: (B,) log p_{i,y_i}.
        q: 0 < q ≤ 1.

    Returns:
        (B,) in 0…1/q.

    >>> rnsl(torch.tensor([0.5]).log(), 1.0)
    tensor([0.5000])
    """
    return -torch.expm1(q * log_p) / q


def truncation_weights(log_p: Tensor, k: float) -> Tensor:
    """The weights m_i of the truncation.

    Args:
        log_p: (B,) log p_{i,y_i}.
        k: the truncation, 0 ≤ k < 1.

    Returns:
        (B,) 1 if p_{i,y_i} > k, else 0, in the dtype of `log_p`.
    """
    return (log_p > (math.log(k) if k > 0 else -math.inf)).to(log_p.dtype)


def weighted_rnsl(log_p: Tensor, weights: Tensor, q: float, k: float) -> Tensor:
    """t-RNSL as it is optimised: m_i · ((1 − p^q)/q − (1 − k^q)/q) for fixed m_i.

    Alternating convex search (Zhang & Sabuncu, NeurIPS 2018) minimises it over the network with
    m_i fixed, and over m_i with the network fixed; `truncation_weights` is the second step.

    Args:
        log_p: (B,) log p_{i,y_i}.
        weights: (B,) m_i, 0 or 1.
        q: 0 < q ≤ 1.
        k: the truncation, 0 ≤ k < 1.

    Returns:
        (B,), negative for tiles of weight 1 with p > k.
    """
    return weights * (rnsl(log_p, q) - (1 - math.pow(k, q)) / q)


class MetricLoss(nn.Module):
    """The mean of a loss over a batch.

    Args:
        name: the loss.
        q: of RNSL and t-RNSL, 0 < q ≤ 1.
        k: the truncation of t-RNSL, 0 ≤ k < 1.

    Raises:
        InvalidArgument: q or k is out of range.
    """

    def __init__(self, name: LossName, q: float, k: float) -> None:
        super().__init__()
        if not 0 < q <= 1 or not 0 <= k < 1:
            raise InvalidArgument(f"a loss takes 0 < q ≤ 1 and 0 ≤ k < 1, not q = {q}, k = {k}")
        self.name, self.q, self.k = LossName(name), q, k

    def forward(self, log_p: Tensor, weights: Tensor) -> Tensor:
        """(B,) log p_{i,y_i} and (B,) m_i → scalar."""
        if self.name is LossName.NSL:
            return nsl(log_p).mean()
        if self.name is LossName.RNSL:
            return rnsl(log_p, self.q).mean()
        # The constant has no gradient. It gives tiles of weight 0 the value of the truncated
        # loss, and makes t-RNSL equal to RNSL as long as all weights are 1.
        constant = (1 - math.pow(self.k, self.q)) / self.q
        return weighted_rnsl(log_p, weights, self.q, self.k).mean() + constant
