"""NSL, RNSL and t-RNSL: one formula each, as a pure function and a thin module.

Kang, Fernandez-Beltran, Duan, Kang, Plaza: "Robust Normalized Softmax Loss for Deep Metric
Learning-based Characterization of Remote Sensing Images with Label Noise", IEEE TGRS 2020,
DOI 10.1109/TGRS.2020.3042607. With v_i the unit embedding of tile i, w_c the unit prototype
of class c and σ the temperature,

    p_ic = exp(w_c·v_i / σ) / Σ_j exp(w_j·v_i / σ).

All formulas are computed from log p, never from a rounded p, so that they and their
gradients stay finite where p comes near 0 or 1.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from rsretrieve.enums import LossName
from rsretrieve.errors import InvalidArgument


def label_log_probability(log_p: Tensor, labels: Tensor) -> Tensor:
    """Log p_{i,y_i}: (B, K) and the labels' class numbers (B,) int64 → (B,)."""
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

    Its gradient is NSL's times p^q; q → 0 gives NSL, q = 1 gives 1 − p.

    Args:
        log_p: (B,) log p_{i,y_i}.
        q: 0 < q ≤ 1.

    Returns:
        (B,) in 0…1/q.

    >>> rnsl(torch.tensor([0.5]).log(), 1.0)
    tensor([0.5000])
    """
    return -torch.expm1(q * log_p) / q


def truncated_rnsl(log_p: Tensor, q: float, k: float) -> Tensor:
    """Truncated RNSL: RNSL where p > k, else the constant (1 − k^q) / q, without a gradient.

    Args:
        log_p: (B,) log p_{i,y_i}.
        q: 0 < q ≤ 1.
        k: the truncation, 0 ≤ k < 1; 0 gives RNSL.

    Returns:
        (B,) in 0…(1 − k^q)/q.
    """
    return weighted_rnsl(log_p, kept(log_p, k), q, k) + (1 - math.pow(k, q)) / q


def kept(log_p: Tensor, k: float) -> Tensor:
    """The weights m_i: 1 where p_{i,y_i} > k, else 0, in the type of `log_p`, (B,)."""
    return (log_p > (math.log(k) if k > 0 else -math.inf)).to(log_p.dtype)


def weighted_rnsl(log_p: Tensor, weights: Tensor, q: float, k: float) -> Tensor:
    """t-RNSL as it is optimised: m_i · ((1 − p^q)/q − (1 − k^q)/q), m_i held fixed.

    Minimised over the network by turns with `kept`, which minimises it over m_i (Zhang &
    Sabuncu, NeurIPS 2018, alternating convex search).

    Args:
        log_p: (B,) log p_{i,y_i}.
        weights: (B,) m_i, 0 or 1.
        q: 0 < q ≤ 1.
        k: the truncation, 0 ≤ k < 1.

    Returns:
        (B,), negative for kept tiles with p > k.
    """
    return weights * (rnsl(log_p, q) - (1 - math.pow(k, q)) / q)


class MetricLoss(nn.Module):
    """The mean of a loss over a batch, given log p_{i,y_i} and the weights m_i.

    Args:
        name: which loss.
        q: of RNSL and t-RNSL, 0 < q ≤ 1.
        k: the truncation of t-RNSL, 0 ≤ k < 1.
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
        # The constant moves nothing; with it a tile that is left out costs what the
        # truncated loss says, and the value goes on where RNSL's was.
        constant = (1 - math.pow(self.k, self.q)) / self.q
        return weighted_rnsl(log_p, weights, self.q, self.k).mean() + constant
