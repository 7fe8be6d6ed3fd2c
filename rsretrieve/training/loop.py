"""The training loop: epochs, validation, target updates and checkpoints."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rsretrieve.data.run_context import RunContext
from rsretrieve.enums import ModelSelection, Validation
from rsretrieve.network.embedder import Embedder
from rsretrieve.network.fuse_batchnorm import fuse_batchnorm
from rsretrieve.network.model import PrototypeModel
from rsretrieve.progress import EpochFinished
from rsretrieve.training.checkpoint import (
    Checkpoint,
    add_prefix,
    read_checkpoint,
    restoring,
    select_prefix,
    write_checkpoint,
)
from rsretrieve.training.history.area_under_margin import AreaUnderMargin, MeanProbabilities
from rsretrieve.training.outcome import BeforeTraining, finite_loss, require_equal, require_finite
from rsretrieve.training.parallel.processes import other_number
from rsretrieve.training.run.target_policy import target_policy
from rsretrieve.training.step import Batch, TrainingSettings, TrainingStep, embedder_of
from rsretrieve.training.targets.posterior_policy import PosteriorPolicy
from rsretrieve.training.targets.targets import Targets, predict
from rsretrieve.training.validate import BestEpoch, Examples, KeptEpoch, Voters, accuracy


class TrainingLoop:
    """The state of a training, and how an epoch changes it.

    Args:
        settings: what the training is run with.
        model: the starting model; trained in place.
        train: the N training tiles.
        validation: the tiles that select the best epoch, or None.
        context: receives the progress of every batch and epoch.
        posterior: sets the targets, from before the first epoch on; None leaves it to the recipe.

    Attributes:
        step: runs single steps.
        targets: of the training tiles.
        target_policy: sets the targets anew.
        area_under_margin: of the training tiles.
        mean_probabilities: of the classes of the training tiles, over the epochs.
        best: the best epoch so far.
        history: the finished epochs.
        passing_fraction: at the last update of the targets, the share of the training tiles whose
            given label had a probability above the truncation; None before, and without one.
        before: the model before its first step, also if it was resumed; None until it is set.
    """

    def __init__(
        self,
        settings: TrainingSettings,
        model: PrototypeModel,
        train: Examples,
        validation: Examples | None,
        context: RunContext,
        posterior: PosteriorPolicy | None = None,
    ) -> None:
        self.settings, self.recipe, self.context = settings, settings.recipe, context
        self._processes = settings.processes
        self.model = model.to(settings.device)
        self._processes.copy_of_first([*model.state_dict().values()])
        self.train, self.validation = train, validation
        self.history: list[EpochFinished] = []
        self.best = BestEpoch()
        self._labels = torch.from_numpy(train.labels).to(settings.device)
        confirmed = np.zeros(len(train), bool) if train.confirmed is None else train.confirmed
        self._confirmed = torch.from_numpy(confirmed).to(settings.device)
        self.targets = Targets.as_given(self._labels)
        self.area_under_margin = AreaUnderMargin(len(self._labels), settings.device)
        classes = len(model.prototypes.weight)
        self.mean_probabilities = MeanProbabilities(len(self._labels), classes, settings.device)
        self.step = TrainingStep(settings, self.model, len(self._labels), context)
        self.target_policy = posterior or target_policy(self.recipe, settings.processes)
        self._update_epochs = self.recipe.update_epochs
        if posterior is not None:
            self._update_epochs = self.recipe.posterior_epochs
            self._set_targets(posterior.first_targets())
        self.passing_fraction: float | None = None
        self.before: BeforeTraining | None = None

    def run(self, checkpoint: Path, identity: Mapping[str, Any], *, resume: bool) -> None:
        """Train up to the recipe's last epoch and write a checkpoint after each.

        Args:
            checkpoint: the file to write, and to resume from.
            identity: everything that determines the result; see `Checkpoint`.
            resume: continue from the checkpoint.

        Raises:
            CheckpointError: `resume`, and the checkpoint is missing, unreadable or of another
                training.
            TrainingDiverged: the loss or a weight is not finite.
        """
        if resume:
            read = self._processes.of_first(lambda: read_checkpoint(checkpoint, identity))
            with restoring(checkpoint):
                self._restore(read)
        # On a GPU, so that convolutions give the same result each time; some sums may not.
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
            for epoch in range(len(self.history), self.recipe.epochs):
                self.context.start_stage(
                    f"epoch {epoch + 1}/{self.recipe.epochs}", len(self._labels)
                )
                finished = self.run_epoch(epoch)
                require_finite(self.model, epoch)
                require_equal(self.model, epoch, self._processes)
                self.history.append(finished)
                state = Checkpoint(identity, self._tensors(), self._facts())
                with self._processes.together():
                    if self._processes.is_first:
                        write_checkpoint(checkpoint, state)
                self.context.report(finished)

    def select_model(self, selection: ModelSelection) -> PrototypeModel:
        """The last, best or averaged model so far; the last if there is no such model yet."""
        if selection is ModelSelection.AVERAGE and self.step.average is not None:
            return cast(PrototypeModel, self.step.average.module)
        if selection is ModelSelection.BEST and self.best.state is not None:
            best = copy.deepcopy(self.model)
            best.load_state_dict(self.best.state)
            return best
        return self.model

    @property
    def kept_epoch(self) -> KeptEpoch:
        """The epoch of the model that the recipe keeps, and why."""
        if not self.history:
            return KeptEpoch(0, "there was none")
        best = self.recipe.keep is ModelSelection.BEST and self.best.number
        if best:
            return KeptEpoch(best, "the latest within a standard error of the best validation")
        if self.recipe.keep is ModelSelection.AVERAGE and self.step.average is not None:
            return KeptEpoch(len(self.history), "the last, with averaged weights")
        return KeptEpoch(len(self.history), "the last")

    @property
    def kept_mask(self) -> Tensor:
        """(N,) 1 for tiles that are taught their given label (m_i = 1), else 0."""
        return self.targets.kept_mask(self._labels)

    @property
    def relabelled_mask(self) -> Tensor:
        """(N,) 1 for tiles that are taught another label than the given one, else 0."""
        return self.targets.relabelled_mask(self._labels)

    def voters(self) -> Voters:
        """The training tiles that are taught, with the labels that they are taught."""
        rows = np.flatnonzero(self.targets.weights.cpu().numpy())
        return Voters(self.train.pixels, rows, self.targets.labels.cpu().numpy()[rows])

    def run_epoch(self, epoch: int) -> EpochFinished:
        """Train one epoch, validate, and update the targets if they are due.

        Args:
            epoch: its number, from 0.

        Raises:
            TrainingDiverged: the loss is not finite.
        """
        started = time.perf_counter()
        loss = self._train_batches(epoch)
        trained = time.perf_counter()
        validation_accuracy = self._validate()
        if epoch + 1 in self._update_epochs:
            self._update_targets(epoch + 1)
        return EpochFinished(
            epoch=epoch + 1,
            epochs=self.recipe.epochs,
            learning_rate=self.step.learning_rate,
            loss=loss,
            kept_fraction=float(self.kept_mask.mean()),
            relabelled_fraction=float(self.relabelled_mask.mean()),
            temperature=float(self.model.prototypes.temperature.detach()),
            validation_accuracy=validation_accuracy,
            seconds=time.perf_counter() - started,
            tiles_per_second=len(self._labels) / (trained - started),
        )

    def _train_batches(self, epoch: int) -> float:
        """Train on every tile once and return the mean loss.

        Everything random depends on the seed and the epoch alone, so that a training can resume.
        """
        seeds = np.random.SeedSequence((self.settings.seed, epoch)).generate_state(3)
        generator = torch.Generator(self.settings.device).manual_seed(int(seeds[0]))
        # For layers such as stochastic depth: each process holds other tiles.
        torch.manual_seed(int(seeds[1]) + self._processes.rank)
        order = np.random.default_rng(seeds[2]).permutation(len(self._labels))
        steps = self.train.batches(self.recipe.batch_size)
        self.model.train()
        total = torch.zeros((), device=self.settings.device)
        for step, rows in enumerate(np.array_split(order, steps)):
            progress = (epoch + step / steps) / self.recipe.epochs
            total += self._train_batch(np.sort(rows), progress, generator) * len(rows)
            self.context.advance(len(rows))
        return finite_loss(float(total) / len(order), epoch)

    def _train_batch(
        self, rows: NDArray[np.int64], progress: float, generator: torch.Generator
    ) -> Tensor:
        """Run one step on some training tiles; returns the mean loss."""
        positions = torch.from_numpy(rows).to(self.settings.device)
        labels, weights = self.targets.labels[positions], self.targets.weights[positions]
        own = rows[self._processes.part(len(rows))]
        batch = Batch(self.train.pixels[own], labels, weights)
        result = self.step.run(batch, progress, generator)
        self.area_under_margin.update(positions, result.log_p, self._labels[positions])
        self.mean_probabilities.update(positions, result.log_p)
        return result.loss

    @property
    def logit_margins(self) -> NDArray[np.float32]:
        """(N,) of the given labels of the training tiles; see `MeanProbabilities`."""
        return self.mean_probabilities.margins(self._labels)

    def embedder(self, model: PrototypeModel) -> Embedder:
        """An embedder of a model, in the precision of the training."""
        return embedder_of(fuse_batchnorm(model.network), self.settings)

    def _validate(self) -> float | None:
        """Validation accuracy of the current model, or of the average if the recipe uses it."""
        if self.validation is None:
            return None
        uses_average = self.recipe.uses_average
        model = self.select_model(ModelSelection.AVERAGE if uses_average else ModelSelection.LAST)
        voters = self.voters() if self.recipe.validation is Validation.NEIGHBOURS else None
        embedder, validation = self.embedder(model), self.validation
        found = accuracy(embedder, model.prototypes, validation, voters)
        # Machines of different kinds may round differently; all must take the same decisions.
        found = float(self._processes.stacked(torch.tensor(found, dtype=torch.float64))[0])
        number = len(self.history) + 1
        self.best.update(number, found, len(self.validation), model.state_dict())
        return found

    def _update_targets(self, finished_epochs: int) -> None:
        model = self.select_model(self.recipe.weights_by)
        predictions = predict(self.embedder(model), model.prototypes, self.train.pixels)
        if (k := self.target_policy.k) is not None:
            own = predictions.log_p.gather(1, self._labels[:, None]).exp()
            self.passing_fraction = float((own > k).float().mean())
        progress = finished_epochs / self.recipe.epochs
        updated = self.target_policy.update(predictions, self._labels, self.targets, progress)
        self._set_targets(updated)

    def _set_targets(self, updated: Targets) -> None:
        self.targets = updated.with_confirmed(self._labels, self._confirmed)
        self._processes.copy_of_first([self.targets.labels, self.targets.weights])

    def _tensors(self) -> dict[str, Tensor]:
        tensors = add_prefix("model", self.model.state_dict())
        tensors |= self.step.tensors()
        tensors |= add_prefix("targets", vars(self.targets))
        tensors |= add_prefix("margins", self.area_under_margin.tensors())
        tensors |= add_prefix("probabilities", self.mean_probabilities.tensors())
        tensors |= add_prefix("strategy", self.target_policy.tensors())
        if self.best.state is not None:
            tensors |= add_prefix("best", self.best.state)
        return tensors

    def _facts(self) -> dict[str, Any]:
        return {
            **self.best.facts(),
            "history": [asdict(finished) for finished in self.history],
            "before": self.before and asdict(self.before),
            "largest_part": self.step.micro_batcher.max_size,
            "passing_fraction": self.passing_fraction,
            "processes": self._processes.count,
        }

    def _restore(self, checkpoint: Checkpoint) -> None:
        tensors = {n: t.to(self.settings.device) for n, t in checkpoint.tensors.items()}
        self.model.load_state_dict(select_prefix(tensors, "model"))
        self.step.restore(tensors, checkpoint.facts.get("largest_part"))
        self.targets = Targets(**select_prefix(tensors, "targets"))
        self.area_under_margin.restore(select_prefix(tensors, "margins"))
        self.mean_probabilities.restore(select_prefix(tensors, "probabilities"))
        self.target_policy.restore(select_prefix(tensors, "strategy"))
        self.best.restore(checkpoint.facts, select_prefix(tensors, "best"))
        self.passing_fraction = checkpoint.facts.get("passing_fraction")
        self.history = [EpochFinished(**finished) for finished in checkpoint.facts["history"]]
        if before := checkpoint.facts.get("before"):  # earlier versions did not store it
            self.before = BeforeTraining(**before)
        if text := other_number(checkpoint.facts.get("processes", 1), self._processes.count):
            self.context.notice(text)
