"""The one training loop."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rsretrieve.data.run_context import RunContext
from rsretrieve.enums import ModelSelection, Validation
from rsretrieve.errors import TrainingDiverged
from rsretrieve.network.embedder import Embedder
from rsretrieve.network.fuse_batchnorm import fuse_batchnorm
from rsretrieve.network.model import PrototypeModel
from rsretrieve.progress import EpochFinished
from rsretrieve.training.checkpoint import (
    Checkpoint,
    add_prefix,
    read_checkpoint,
    select_prefix,
    write_checkpoint,
)
from rsretrieve.training.history.area_under_margin import AreaUnderMargin
from rsretrieve.training.step import TrainingSettings, TrainingStep
from rsretrieve.training.targets.strategies import target_policy
from rsretrieve.training.targets.targets import Targets
from rsretrieve.training.validate import BestEpoch, Examples, Voters, accuracy


class TrainingLoop:
    """A training in progress: its state, and how an epoch changes it.

    Args:
        settings: what it is run with.
        model: where it starts; trained in place.
        train: the N training tiles.
        validation: the tiles that say which epoch is best, or None.
        context: is told of every batch and epoch.
    """

    def __init__(
        self,
        settings: TrainingSettings,
        model: PrototypeModel,
        train: Examples,
        validation: Examples | None,
        context: RunContext,
    ) -> None:
        self.settings, self.recipe, self.context = settings, settings.recipe, context
        self.model = model.to(settings.device)
        self.train, self.validation = train, validation
        self.history: list[EpochFinished] = []
        self.best = BestEpoch()
        self._labels = torch.from_numpy(train.labels).to(settings.device)
        self.targets = Targets.as_given(self._labels)
        self.area_under_margin = AreaUnderMargin(len(self._labels), settings.device)
        self._target_policy = target_policy(self.recipe)
        self._step_runner = TrainingStep(settings, self.model, len(self._labels), context)

    def run(self, checkpoint: Path, identity: Mapping[str, Any], *, resume: bool) -> None:
        """Train to the recipe's last epoch, with a checkpoint after each.

        Raises:
            CheckpointError: `resume`, and the checkpoint cannot be gone on from.
            TrainingDiverged: the loss is not finite.
        """
        if resume:
            self._restore(read_checkpoint(checkpoint, identity))
        # A GPU's convolutions, too, are to give the same result each time.
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
            self._run_epochs(checkpoint, identity)

    def _run_epochs(self, checkpoint: Path, identity: Mapping[str, Any]) -> None:
        for epoch in range(len(self.history), self.recipe.epochs):
            self.context.start_stage(f"epoch {epoch + 1}/{self.recipe.epochs}", len(self._labels))
            finished = self._epoch(epoch)
            self.history.append(finished)
            write_checkpoint(checkpoint, Checkpoint(identity, self._tensors(), self._facts()))
            self.context.report(finished)

    def select_model(self, which: ModelSelection) -> PrototypeModel:
        """The network of that kind, as it is now."""
        if which is ModelSelection.AVERAGE and self._step_runner.average is not None:
            averaged = self._step_runner.average.module
            assert isinstance(averaged, PrototypeModel)
            return averaged
        if which is ModelSelection.BEST and self.best.state is not None:
            best = copy.deepcopy(self.model)
            best.load_state_dict(self.best.state)
            return best
        return self.model

    @property
    def kept_mask(self) -> Tensor:
        """(N,) 1 where a tile is taught with the label it was given (m_i = 1), else 0."""
        return self.targets.kept_mask(self._labels)

    @property
    def relabelled_mask(self) -> Tensor:
        """(N,) 1 where a tile is taught with another label than it was given, else 0."""
        return self.targets.relabelled_mask(self._labels)

    def _epoch(self, epoch: int) -> EpochFinished:
        started = time.perf_counter()
        loss = self._pass_over_batches(epoch)
        trained = time.perf_counter()
        validation_accuracy = self._validate()
        if epoch + 1 in self.recipe.update_epochs:
            self._update_targets(epoch + 1)
        return EpochFinished(
            epoch=epoch + 1,
            epochs=self.recipe.epochs,
            learning_rate=self._step_runner.learning_rate,
            loss=loss,
            kept_fraction=float(self.kept_mask.mean()),
            relabelled_fraction=float(self.relabelled_mask.mean()),
            temperature=float(self.model.prototypes.temperature.detach()),
            validation_accuracy=validation_accuracy,
            seconds=time.perf_counter() - started,
            tiles_per_second=len(self._labels) / (trained - started),
        )

    def _pass_over_batches(self, epoch: int) -> float:
        """Train one epoch; chance hangs on the seed and the epoch alone, so it can resume."""
        seeds = np.random.SeedSequence((self.settings.seed, epoch)).generate_state(3)
        generator = torch.Generator(self.settings.device).manual_seed(int(seeds[0]))
        torch.manual_seed(int(seeds[1]))  # what layers such as stochastic depth draw from
        order = np.random.default_rng(seeds[2]).permutation(len(self._labels))
        # Batches of nearly one size, none of a single tile, which would break batch norm.
        steps = max(1, min(math.ceil(len(order) / self.recipe.batch_size), len(order) // 2))
        self.model.train()
        total = torch.zeros((), device=self.settings.device)
        for step, chosen in enumerate(np.array_split(order, steps)):
            progress = (epoch + step / steps) / self.recipe.epochs
            total += self._step(np.sort(chosen), progress, generator) * len(chosen)
            self.context.advance(len(chosen))
        loss = float(total) / len(order)
        if not math.isfinite(loss):
            raise TrainingDiverged(
                f"the loss is {loss} in epoch {epoch + 1}",
                hint="give a smaller --learning-rate, or look for tiles with absurd values",
            )
        return loss

    def _step(
        self, chosen: NDArray[np.int64], progress: float, generator: torch.Generator
    ) -> Tensor:
        """One step on one batch; returns its mean loss."""
        positions = torch.from_numpy(chosen).to(self.settings.device)
        labels, weights = self.targets.labels[positions], self.targets.weights[positions]
        loss, log_p = self._step_runner.step(
            self.train.pixels[chosen], labels, weights, progress, generator
        )
        self.area_under_margin.update(positions, log_p, self._labels[positions])
        return loss

    def _embedder(self, model: PrototypeModel) -> Embedder:
        settings, network = self.settings, fuse_batchnorm(model.network)
        return Embedder(network, settings.preprocessing, settings.device, settings.precision)

    def _validate(self) -> float | None:
        """Accuracy by the labels as given of the network that would be kept now."""
        if self.validation is None:
            return None
        candidate = self.select_model(
            ModelSelection.AVERAGE if self.recipe.uses_average else ModelSelection.LAST
        )
        found = accuracy(
            self._embedder(candidate),
            candidate.prototypes,
            self.validation,
            self._voters() if self.recipe.validation is Validation.NEIGHBOURS else None,
        )
        self.best.consider(
            len(self.history) + 1, found, len(self.validation), candidate.state_dict()
        )
        return found

    def _voters(self) -> Voters:
        """The training tiles as they are taught now: one that is left out has no vote."""
        taught = np.flatnonzero(self.targets.weights.cpu().numpy())
        return Voters(self.train.pixels, taught, self.targets.labels.cpu().numpy()[taught])

    def _update_targets(self, epochs_done: int) -> None:
        judge = self.select_model(self.recipe.weights_by)
        self.targets = self._target_policy.update(
            self._embedder(judge),
            judge.prototypes,
            self.train.pixels,
            self._labels,
            self.targets,
            epochs_done / self.recipe.epochs,
        )

    def _tensors(self) -> dict[str, Tensor]:
        tensors = add_prefix("model", self.model.state_dict())
        tensors |= self._step_runner.tensors()
        tensors |= add_prefix("targets", vars(self.targets))
        tensors |= add_prefix("margins", self.area_under_margin.tensors())
        tensors |= add_prefix("strategy", self._target_policy.tensors())
        if self.best.state is not None:
            tensors |= add_prefix("best", self.best.state)
        return tensors

    def _facts(self) -> dict[str, Any]:
        history = [asdict(finished) for finished in self.history]
        return {
            **self.best.facts(),
            "history": history,
            "largest_part": self._step_runner.micro_batcher.max_size,
        }

    def _restore(self, checkpoint: Checkpoint) -> None:
        tensors = {n: t.to(self.settings.device) for n, t in checkpoint.tensors.items()}
        self.model.load_state_dict(select_prefix(tensors, "model"))
        self._step_runner.restore(tensors, checkpoint.facts.get("largest_part"))
        self.targets = Targets(**select_prefix(tensors, "targets"))
        self.area_under_margin.restore(select_prefix(tensors, "margins"))
        self._target_policy.restore(select_prefix(tensors, "strategy"))
        self.best.restore(checkpoint.facts, select_prefix(tensors, "best"))
        self.history = [EpochFinished(**finished) for finished in checkpoint.facts["history"]]
