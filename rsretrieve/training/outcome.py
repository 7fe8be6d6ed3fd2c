"""Check that a training learned something: a model that diverged is not written."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rsretrieve.data.profile.spread import least_class_spread, spread_of
from rsretrieve.errors import TrainingDiverged
from rsretrieve.network.embedder import Embedder
from rsretrieve.training.parallel.processes import Processes
from rsretrieve.training.targets.targets import Targets
from rsretrieve.training.validate import Examples

_SMALLER_STEPS = "give a smaller --learning-rate, or look for tiles with extreme values"
_SAMPLED = 1000  # training tiles that are embedded at the end
_LEAST_SPREAD = 1e-4  # a similarity of 0.9999: no tile can be told from another
_INFORMED_SPREAD = 0.1  # before the training: with random weights it is below 0.05
_COLLAPSED_SPREAD, _COLLAPSED = 2e-3, 0.01  # after the training, and against that before it
_GROWTH = 10.0  # of the largest weight; in a training that goes well it stays below 2
MANY_STEPS = 100
"""Of a training that could learn from random weights."""

_LEAST_TAUGHT, _FEW_TAUGHT = 0.05, 0.3  # shares of the training tiles
_IMPLAUSIBLE = 0.15  # so many labels fewer are used than are predicted rightly


@dataclass(frozen=True)
class SampledEmbeddings:
    """Embeddings of evenly spaced training tiles.

    Attributes:
        vectors: (M, D) float32 unit rows.
        labels: (M,) int64, the classes that the tiles are taught; −1 for none.
    """

    vectors: NDArray[np.float32]
    labels: NDArray[np.int64]

    @classmethod
    def of(
        cls, embedder: Embedder, train: Examples, targets: Targets, most: int = _SAMPLED
    ) -> SampledEmbeddings:
        """Embed some training tiles.

        Args:
            embedder: of the model.
            train: the training tiles.
            targets: what they are taught.
            most: the highest number of tiles that are embedded.
        """
        rows = np.arange(0, len(train), -(-len(train) // most))
        taught = torch.where(targets.weights > 0, targets.labels, -1).cpu().numpy()
        return cls(embedder.vectors(train.pixels, rows), taught[rows])

    @property
    def spread(self) -> float | None:
        """See `spread_of`."""
        return spread_of(self.vectors)

    @property
    def class_spread(self) -> float | None:
        """See `least_class_spread`."""
        return least_class_spread(self.vectors, self.labels)


def require_finite(model: nn.Module, epoch: int) -> None:
    """Raise `TrainingDiverged` if a value of a model is not finite.

    Args:
        model: after the epoch.
        epoch: counted from 0.
    """
    tensors: list[Tensor] = [t for t in model.state_dict().values() if t.is_floating_point()]
    # One result for all tensors: each answer from a GPU takes as long as a step.
    finite = torch.stack([torch.isfinite(tensor).all() for tensor in tensors]).all()
    if not bool(finite):
        raise TrainingDiverged(
            f"the weights are no longer finite numbers after epoch {epoch + 1}",
            hint=_SMALLER_STEPS,
        )


def finite_loss(loss: float, epoch: int) -> float:
    """The mean loss of an epoch, which must be finite.

    Args:
        loss: the mean loss.
        epoch: counted from 0.

    Raises:
        TrainingDiverged: it is not finite.
    """
    if not math.isfinite(loss):
        raise TrainingDiverged(f"the loss is {loss} in epoch {epoch + 1}", hint=_SMALLER_STEPS)
    return loss


def require_equal(model: nn.Module, epoch: int, processes: Processes) -> None:
    """Check that all processes of a training have the same model.

    Args:
        model: of this process, after the epoch.
        epoch: counted from 0.
        processes: those of the training.

    Raises:
        TrainingDiverged: they have not.
    """
    if processes.count == 1:
        return
    tensors: list[Tensor] = [t for t in model.state_dict().values() if t.is_floating_point()]
    sums = processes.stacked(torch.stack([tensor.double().sum() for tensor in tensors]))
    if not bool((sums == sums[0]).all()):
        raise TrainingDiverged(
            f"the processes of the training have different weights after epoch {epoch + 1}",
            hint="use machines with the same GPUs and the same versions of PyTorch",
        )


@dataclass(frozen=True)
class BeforeTraining:
    """What a model was like before its first step.

    Attributes:
        spread: of its embeddings, see `spread_of`.
        largest: its largest parameter.
    """

    spread: float
    largest: float

    @property
    def is_informed(self) -> bool:
        """Whether it told tiles apart; a network with random weights does not."""
        return self.spread >= _INFORMED_SPREAD

    @classmethod
    def of(cls, model: nn.Module, embeddings: SampledEmbeddings) -> BeforeTraining:
        """Measure a model that was not trained yet."""
        return cls(embeddings.spread or 0.0, _largest(model))


def _largest(model: nn.Module) -> float:
    return max(float(parameter.detach().abs().max()) for parameter in model.parameters())


def require_distinct(
    model: nn.Module, embeddings: SampledEmbeddings, before: BeforeTraining, steps: int
) -> str:
    """Check that a trained model tells tiles apart.

    Embeddings of a network with random weights are nearly the same, too. Few steps may not change
    that: then the training did not diverge, and a notice is enough.

    Args:
        model: the finished model.
        embeddings: of the training tiles, by that model.
        before: the model before the training.
        steps: the number of training steps.

    Returns:
        A notice if all embeddings are nearly the same after few steps; else empty.

    Raises:
        TrainingDiverged: embeddings are not finite, or the training made them nearly the same.
    """
    if not np.isfinite(embeddings.vectors).all():
        raise TrainingDiverged(
            "the embeddings of the training tiles are not finite numbers", hint=_SMALLER_STEPS
        )
    spread = embeddings.spread
    if spread is None:
        return ""
    text = (
        "the trained network gives all tiles nearly the same embedding (mean similarity "
        f"{1 - spread:.5f})"
    )
    informed = before.is_informed and spread < _COLLAPSED * before.spread
    exploded = _largest(model) > _GROWTH * before.largest
    lost = spread < _COLLAPSED_SPREAD and (informed or exploded)
    if lost or (spread < _LEAST_SPREAD and steps >= MANY_STEPS):
        raise TrainingDiverged(text, hint=_SMALLER_STEPS)
    return f"{text}: give more --epochs, or start from --weights" if spread < _LEAST_SPREAD else ""


def require_taught(
    taught: float, passing: float | None, k: float | None, *, could_learn: bool
) -> str:
    """Check that labels were learned from.

    Args:
        taught: the share of the training tiles that are taught a label at the end, 0…1.
        passing: the share whose label had a probability above the truncation at the last update;
            None if there was none.
        k: the truncation; None if it has no share in what is taught: `passing` does not count then.
        could_learn: there were many steps, or the network told tiles apart before; otherwise no
            probability can be expected to be high.

    Returns:
        A notice if few labels are learned from; else empty.

    Raises:
        TrainingDiverged: no label, or nearly none, is taught or passes the truncation.
    """
    lower = "a smaller --truncation, " if k is not None else ""
    hint = f"give {lower}more --epochs, or another --learning-rate"
    left_out = f"only {taught:.1%} of the labels are used at the end of the training"
    if taught < _LEAST_TAUGHT:
        raise TrainingDiverged(f"{left_out}; the others are left out as wrong", hint=hint)
    fails = passing is not None and passing < _LEAST_TAUGHT and could_learn
    if k is not None and fails:
        raise TrainingDiverged(
            f"{passing:.1%} of the labels have a probability above {k:g} (--truncation): the "
            "network did not learn them",
            hint=hint,
        )
    return f"{left_out}: {hint}" if taught < _FEW_TAUGHT else ""


def notice_implausible(taught: float, validated: float | None, k: float | None) -> str:
    """Compare the labels that are learned from with those that are predicted.

    Labels of validation tiles that come from the same set go wrong as often as those of training
    tiles, and no network predicts wrong labels. So at least as many labels are right as are
    predicted.

    Args:
        taught: the share of the training tiles that are taught a label at the end, 0…1.
        validated: the share of validation labels from the same set that are predicted at the end;
            None if there are none.
        k: the truncation; None if it has no share in what is taught.

    Returns:
        A notice if far fewer labels are learned from; else empty.
    """
    if validated is None or taught >= validated - _IMPLAUSIBLE:
        return ""
    lower = "" if k is None else f", or a --truncation below {k:g}"
    return (
        f"only {taught:.1%} of the labels are used at the end of the training, but {validated:.1%} "
        f"of the labels of validation tiles are predicted: right labels are left out; give more "
        f"--epochs{lower}"
    )
