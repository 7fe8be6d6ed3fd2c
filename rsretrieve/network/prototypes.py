"""Class prototypes, and the probabilities of the classes that follow from them."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


def log_probabilities(embeddings: Tensor, prototypes: Tensor, temperature: Tensor) -> Tensor:
    """Log p_ic of every tile and class.

    Args:
        embeddings: (B, D), unit rows.
        prototypes: (K, D), unit rows.
        temperature: σ > 0, scalar.

    Returns:
        (B, K), at most 0.
    """
    return functional.log_softmax(embeddings @ prototypes.T / temperature, dim=1)


class Prototypes(nn.Module):
    """The class prototypes w_c, normalised on use, and the temperature σ.

    Args:
        classes: K.
        dimensions: D.
        temperature: σ, where it starts.
        learn_temperature: σ is a parameter, learned as log σ, instead of a constant.
        generator: where the start, uniform in ±1/√D, comes from.
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
        reach = 1 / math.sqrt(dimensions)
        start = torch.rand(classes, dimensions, generator=generator)
        self.weight = nn.Parameter((2 * start - 1) * reach)
        log_temperature = torch.tensor(math.log(temperature))
        if learn_temperature:
            self.log_temperature = nn.Parameter(log_temperature)
        else:
            self.register_buffer("log_temperature", log_temperature)

    @property
    def unit(self) -> Tensor:
        """(K, D), unit rows."""
        return functional.normalize(self.weight, dim=1)

    @property
    def temperature(self) -> Tensor:
        """σ, scalar."""
        return self.log_temperature.exp()

    def forward(self, embeddings: Tensor) -> Tensor:
        """(B, D) unit embeddings → (B, K) log p_ic."""
        return log_probabilities(embeddings, self.unit, self.temperature)
