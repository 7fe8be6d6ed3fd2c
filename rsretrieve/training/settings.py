"""What a training is run with."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from rsretrieve.data.preprocessing.preprocessing import Preprocessing
from rsretrieve.network.device import Precision
from rsretrieve.training.recipe import Recipe


@dataclass(frozen=True)
class Settings:
    """What a training is run with, beside its tiles and its model.

    `in_parts`: where memory runs out, a batch is taken in parts whose gradients add up to its
    own, but for batch norm, which sees a part's tiles alone.
    """

    recipe: Recipe
    preprocessing: Preprocessing
    seed: int
    device: torch.device
    precision: Precision
    in_parts: bool = False
