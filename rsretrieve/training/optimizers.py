"""The optimizers that a recipe chooses from."""

from __future__ import annotations

import torch

from rsretrieve.enums import OptimizerName
from rsretrieve.network.model import PrototypeModel
from rsretrieve.training.recipe import Recipe


def build_optimizer(model: PrototypeModel, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimizer of all that a model learns."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    rate, decay, momentum = recipe.learning_rate, recipe.weight_decay, recipe.momentum
    if recipe.optimizer is OptimizerName.ADAMW:
        return torch.optim.AdamW(parameters, lr=rate, weight_decay=decay)
    return torch.optim.SGD(
        parameters, lr=rate, weight_decay=decay, momentum=momentum, nesterov=momentum > 0
    )
