"""Class prototypes and the class probabilities that they give an embedding."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


def log_probabilities(embeddings: Tensor, prototypes: Tensor, temperature: Tensor) -> Tensor:
    """Compute log p_ic = log softmax_c(w_c·v_i / σ) for every tile and class.

    Args:
        embeddings: (B, D), unit rows.
        prototypes: (K, D), unit rows.
        temperature: σ > 0, scalar.

    Returns:
        (B, K), at most 0.
    """
    return functional.log_softmax(embeddings @ prototypes.T / temperature, dim=1)


class Prototypes(nn.Module):
    """The class prototypes w_c, L2-normalised on use, and the temperature σ.

    Args:
        classes: K.
        dimensions: D.
        temperature: initial σ.
        learn_temperature: σ is a trained parameter, stored as log σ, instead of a constant.
        generator: random numbers of the initial prototypes, uniform in ±1/√D.
    """

    log_temperature: Tensor

    def __init__(
        self,
        classes: int,
        dimensions: int,
        temperature: float,
        *,
        learn_temperature: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        bound = 1 / math.sqrt(dimensions)
        start = torch.rand(classes, dimensions, generator=generator)
        self.weight = nn.Parameter((2 * start - 1) * bound)
        log_temperature = torch.tensor(math.log(temperature))
        if learn_temperature:
            self.log_temperature = nn.Parameter(log_temperature)
        else:
            self.register_buffer("log_temperature", log_temperature)

    @property
    def unit(self) -> Tensor:
        """The normalised prototypes, (K, D)."""
        return functional.normalize(self.weight, dim=1)

    @property
    def temperature(self) -> Tensor:
        """σ, scalar."""
        return self.log_temperature.exp()

    def forward(self, embeddings: Tensor) -> Tensor:
        """(B, D) unit embeddings → (B, K) log p_ic."""
        return log_probabilities(embeddings, self.unit, self.temperature)
