"""One step of a training: a batch of tiles in, the model a little better."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from rsretrieve.data.preprocessing.augment import augmented
from rsretrieve.data.preprocessing.normalize import Normaliser
from rsretrieve.data.preprocessing.preprocessing import Preprocessing
from rsretrieve.data.run_context import RunContext
from rsretrieve.enums import OptimizerName
from rsretrieve.network.device import Precision, autocast
from rsretrieve.network.model import PrototypeModel
from rsretrieve.network.runtime.micro_batches import MicroBatcher
from rsretrieve.training.checkpoint import (
    add_prefix,
    optimizer_tensors,
    restore_optimizer,
    select_prefix,
)
from rsretrieve.training.ema import MovingAverage
from rsretrieve.training.losses import MetricLoss, label_log_probability
from rsretrieve.training.recipe import Recipe


@dataclass(frozen=True)
class TrainingSettings:
    """What a training is run with, beside its tiles and its model.

    `micro_batches`: where memory runs out, a batch is taken in parts whose gradients add up to its
    own, but for batch norm, which sees a part's tiles alone.
    """

    recipe: Recipe
    preprocessing: Preprocessing
    seed: int
    device: torch.device
    precision: Precision
    micro_batches: bool = False


def build_optimizer(model: PrototypeModel, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimizer of all that a model learns."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    rate, decay, momentum = recipe.learning_rate, recipe.weight_decay, recipe.momentum
    if recipe.optimizer is OptimizerName.ADAMW:
        return torch.optim.AdamW(parameters, lr=rate, weight_decay=decay)
    return torch.optim.SGD(
        parameters, lr=rate, weight_decay=decay, momentum=momentum, nesterov=momentum > 0
    )


class TrainingStep:
    """Takes steps, and keeps what they hang on beside the model.

    Args:
        settings: what the training is run with.
        model: on the settings' device; trained in place.
        tiles: how many there are to train on.
        context: is told when memory runs out.

    Attributes:
        optimizer: the recipe's.
        average: of the model over its steps, or None where the recipe uses none.
        parts: how much of a batch is taken at once.
    """

    def __init__(
        self, settings: TrainingSettings, model: PrototypeModel, tiles: int, context: RunContext
    ) -> None:
        self._settings, self._recipe, self._model = settings, settings.recipe, model
        self._context = context
        self._loss = MetricLoss(self._recipe.loss, self._recipe.q, self._recipe.k)
        self._normaliser = Normaliser(settings.preprocessing, settings.device)
        # Never a single tile, of which batch norm takes none; or never less than all.
        min_size = 2 if settings.micro_batches else tiles
        self.micro_batcher = MicroBatcher(min_size, self._notice_parts)
        self.optimizer = build_optimizer(model, self._recipe)
        decay = self._recipe.average_decay
        self.average = MovingAverage(model, decay) if self._recipe.uses_average else None

    @property
    def learning_rate(self) -> float:
        """That of the last step."""
        return float(self.optimizer.param_groups[0]["lr"])

    def step(
        self,
        pixels: NDArray[Any],
        labels: Tensor,
        weights: Tensor,
        progress: float,
        generator: torch.Generator,
    ) -> tuple[Tensor, Tensor]:
        """Learn from one batch.

        Args:
            pixels: (B, C, S, S) preprocessed tiles, not augmented.
            labels: (B,) int64, what is taught.
            weights: (B,) m_i.
            progress: the share of the training that is done, 0…1.
            generator: of the augmentation.

        Returns:
            The batch's mean loss, and (B, K) log p_ic before the step.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = self._recipe.learning_rate_at(progress)
        tiles = self._normaliser.unit_values(pixels)
        rgb = self._normaliser.is_rgb
        tiles = augmented(tiles, self._recipe.augmentation, generator, rgb=rgb)

        def add_gradients(part: slice) -> tuple[Tensor, Tensor]:
            if part.start == 0:  # or the trial that failed would be added, too
                self.optimizer.zero_grad(set_to_none=True)
            with autocast(self._settings.precision, self._settings.device):
                embeddings = self._model.network(self._normaliser.network_input(tiles[part]))
            log_p = self._model.prototypes(embeddings)
            loss = self._loss(label_log_probability(log_p, labels[part]), weights[part])
            loss = loss * (len(log_p) / len(labels))
            loss.backward()
            return loss.detach(), log_p.detach()

        losses, log_p = zip(*self.micro_batcher.map(len(labels), add_gradients))
        self.optimizer.step()
        if self.average is not None:
            self.average.update()
        return torch.stack(losses).sum(), torch.cat(log_p)

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint keeps of it beside the model."""
        tensors = add_prefix("optimizer", optimizer_tensors(self.optimizer))
        if self.average is not None:
            tensors |= add_prefix("average", self.average.state_dict())
        return tensors

    def restore(self, tensors: Mapping[str, Tensor], largest_part: int | None) -> None:
        """The inverse of `tensors`, on the settings' device."""
        restore_optimizer(self.optimizer, select_prefix(tensors, "optimizer"))
        if self.average is not None:
            self.average.load_state_dict(select_prefix(tensors, "average"))
        self.micro_batcher.max_size = largest_part

    def _notice_parts(self, most: int) -> None:
        self._context.notice(
            f"memory ran out: batches of {self._recipe.batch_size} tiles are taken in parts "
            f"of at most {most}; batch norm sees a part's tiles alone"
        )
