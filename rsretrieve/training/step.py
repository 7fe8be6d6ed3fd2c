"""One training step: augment a batch, compute the loss, update the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rsretrieve.data.preprocessing.augment import BatchShare, augmented
from rsretrieve.data.preprocessing.normalize import Normaliser
from rsretrieve.data.preprocessing.preprocessing import Preprocessing
from rsretrieve.data.run_context import RunContext
from rsretrieve.enums import OptimizerName
from rsretrieve.network.device import Precision, autocast
from rsretrieve.network.embedder import Embedder, features_on
from rsretrieve.network.model import PrototypeModel
from rsretrieve.network.network import EmbeddingNetwork
from rsretrieve.network.runtime.micro_batches import MicroBatcher
from rsretrieve.training.checkpoint import (
    add_prefix,
    optimizer_tensors,
    restore_optimizer,
    select_prefix,
)
from rsretrieve.training.ema import MovingAverage
from rsretrieve.training.frozen.feature_cache import FeatureCache
from rsretrieve.training.head_warmup import dropout
from rsretrieve.training.losses import MetricLoss, label_log_probability
from rsretrieve.training.parallel.processes import ALONE, Processes
from rsretrieve.training.parallel.shared_embedder import SharedEmbedder
from rsretrieve.training.parallel.whole_batch_norm import WholeBatchStatistics
from rsretrieve.training.recipe import Recipe


@dataclass(frozen=True)
class TrainingSettings:
    """What a training is run with, beside its tiles and its model.

    Attributes:
        recipe: every hyper-parameter.
        preprocessing: of the tiles; None if the tiles are features of a frozen backbone.
        seed: of everything random.
        device: where the model is trained.
        precision: number format of the network's layers.
        micro_batches: if memory runs out, split batches. The gradients of the micro-batches add
            up to those of the batch, except that batch norm uses one micro-batch at a time.
        processes: those that train together; with several, batches are not split.
        features: of a frozen backbone, known from other trainings.
    """

    recipe: Recipe
    preprocessing: Preprocessing | None
    seed: int
    device: torch.device
    precision: Precision
    micro_batches: bool = False
    processes: Processes = ALONE
    features: FeatureCache | None = None


@dataclass(frozen=True)
class Batch:
    """The tiles of one step.

    Attributes:
        pixels: (B, C, S, S) preprocessed, not augmented; or features (B, F). With several
            processes only the tiles of this one's `Processes.part`.
        labels: (B,) int64, the labels that the tiles are taught, on the training's device.
        weights: (B,) m_i, on the same device.
    """

    pixels: NDArray[Any]
    labels: Tensor
    weights: Tensor


@dataclass(frozen=True)
class StepResult:
    """What one step computed.

    Attributes:
        loss: scalar, the mean over the batch.
        log_p: (B, K) log p_ic, before the update.
    """

    loss: Tensor
    log_p: Tensor


def embedder_of(network: EmbeddingNetwork, settings: TrainingSettings) -> Embedder:
    """An embedder of a network in the precision of a training, by all of its processes."""
    about = settings.preprocessing, settings.device, settings.precision
    if settings.processes.count == 1:
        return Embedder(network, *about)
    return SharedEmbedder(network, *about, settings.processes)


def build_optimizer(model: PrototypeModel, recipe: Recipe) -> torch.optim.Optimizer:
    """Build the recipe's optimizer for all trainable parameters of a model."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    rate, decay, momentum = recipe.learning_rate, recipe.weight_decay, recipe.momentum
    if recipe.optimizer is OptimizerName.ADAMW:
        return torch.optim.AdamW(parameters, lr=rate, weight_decay=decay)
    return torch.optim.SGD(
        parameters, lr=rate, weight_decay=decay, momentum=momentum, nesterov=momentum > 0
    )


class _LogProbabilities(nn.Module):
    """Network input (B, C, S, S) → (B, K) log p_ic, with the network in a given precision."""

    def __init__(self, model: PrototypeModel, settings: TrainingSettings) -> None:
        super().__init__()
        self.model = model
        self._precision, self._device = settings.precision, settings.device
        self._processes = settings.processes

    def forward(self, values: Tensor) -> Tensor:
        if self._processes.count == 1:
            return self._of(values)
        with WholeBatchStatistics(self._processes):
            return self._of(values)

    def _of(self, values: Tensor) -> Tensor:
        with autocast(self._precision, self._device):
            embeddings = self.model.network(values)
        log_p: Tensor = self.model.prototypes(embeddings)
        return log_p


class TrainingStep:
    """Runs training steps and keeps the optimizer and the moving average.

    Args:
        settings: what the training is run with.
        model: on the settings' device; trained in place.
        tiles: the number of training tiles.
        context: receives a notice when memory runs out.

    Attributes:
        optimizer: the recipe's.
        average: moving average of the model, or None if the recipe uses none.
        micro_batcher: splits batches that do not fit in memory.
    """

    def __init__(
        self, settings: TrainingSettings, model: PrototypeModel, tiles: int, context: RunContext
    ) -> None:
        self._settings, self._recipe, self._context = settings, settings.recipe, context
        self._processes = settings.processes
        self._log_p = self._processes.in_parallel(_LogProbabilities(model, settings))
        self._loss = MetricLoss(self._recipe.loss, self._recipe.q, self._recipe.k)
        pre = settings.preprocessing
        self._normaliser = None if pre is None else Normaliser(pre, settings.device)
        # Batch norm needs at least two tiles. A minimum of all tiles never splits a batch.
        min_size = 2 if settings.micro_batches else tiles
        self.micro_batcher = MicroBatcher(min_size, self._notice_micro_batches)
        self.optimizer = build_optimizer(model, self._recipe)
        decay = self._recipe.average_decay
        self.average = MovingAverage(model, decay) if self._recipe.uses_average else None

    @property
    def learning_rate(self) -> float:
        """The learning rate of the last step."""
        return float(self.optimizer.param_groups[0]["lr"])

    def run(self, batch: Batch, progress: float, generator: torch.Generator) -> StepResult:
        """Train on one batch.

        Args:
            batch: the tiles.
            progress: finished share of the training, 0…1; sets the learning rate.
            generator: random numbers of the augmentation.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = self._recipe.learning_rate_at(progress)
        part = self._processes.part(len(batch.labels))
        values = self._augmented(batch.pixels, generator, share=BatchShare(len(batch.labels), part))

        def add_gradients(rows: slice) -> StepResult:
            if rows.start == 0:  # also discards the gradients of a run that did not fit in memory
                self.optimizer.zero_grad(set_to_none=True)
            return self._add_gradients(batch, values, rows, part.start)

        results = self.micro_batcher.map(len(values), add_gradients)
        self.optimizer.step()
        if self.average is not None:
            self.average.update()
        loss = torch.stack([result.loss for result in results]).sum()
        own = StepResult(loss, torch.cat([result.log_p for result in results]))
        return own if self._processes.count == 1 else self._of_whole_batch(own.log_p, batch)

    def _of_whole_batch(self, log_p: Tensor, batch: Batch) -> StepResult:
        """The result of the whole batch, from the (B_r, K) log p_ic of this process's part."""
        whole = self._processes.gathered(log_p, len(batch.labels))
        own = label_log_probability(whole, batch.labels)
        return StepResult(self._loss(own, batch.weights), whole)

    def _augmented(
        self, pixels: NDArray[Any], generator: torch.Generator, share: BatchShare
    ) -> Tensor:
        """Random variants of a batch: of pixels, of values 0…1; of features, by dropout."""
        if self._normaliser is None:
            return dropout(features_on(pixels, self._settings.device), generator, share)
        values = self._normaliser.unit_values(pixels)
        is_rgb = self._normaliser.is_rgb
        augmentation = self._recipe.augmentation
        return augmented(values, augmentation, generator, rgb=is_rgb, share=share)

    def _network_input(self, values: Tensor) -> Tensor:
        return values if self._normaliser is None else self._normaliser.network_input(values)

    def _add_gradients(self, batch: Batch, values: Tensor, rows: slice, first: int) -> StepResult:
        """Run a micro-batch forward and backward; its loss is its share of the batch's mean.

        Args:
            batch: the whole batch.
            values: of this process's part, augmented.
            rows: the micro-batch in it.
            first: the row of the batch at which the part begins.
        """
        log_p = self._log_p(self._network_input(values[rows]))
        rows = slice(first + rows.start, first + rows.stop)
        own = label_log_probability(log_p, batch.labels[rows])
        loss = self._loss(own, batch.weights[rows]) * (len(log_p) / len(batch.labels))
        # Gradients are averaged over the processes, and have to be added up.
        (loss * self._processes.count if self._processes.count > 1 else loss).backward()
        return StepResult(loss.detach(), log_p.detach())

    def tensors(self) -> dict[str, Tensor]:
        """The state beside the model, for a checkpoint."""
        tensors = add_prefix("optimizer", optimizer_tensors(self.optimizer))
        if self.average is not None:
            tensors |= add_prefix("average", self.average.state_dict())
        return tensors

    def restore(self, tensors: Mapping[str, Tensor], max_size: int | None) -> None:
        """Set the state to one that `tensors` returned.

        Args:
            tensors: on the settings' device.
            max_size: of the micro-batches.
        """
        restore_optimizer(self.optimizer, select_prefix(tensors, "optimizer"))
        if self.average is not None:
            self.average.load_state_dict(select_prefix(tensors, "average"))
        self.micro_batcher.max_size = max_size

    def _notice_micro_batches(self, max_size: int) -> None:
        self._context.notice(
            f"memory ran out: batches of {self._recipe.batch_size} tiles are split into "
            f"micro-batches of at most {max_size}; batch norm uses one micro-batch at a time"
        )
