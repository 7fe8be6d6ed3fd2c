"""Teach each tile its most probable class, by all given labels and by what was learned so far.

Before the first epoch, the classes are estimated from features that no label has shaped (see
`label_posterior`). At first only the certain half of the tiles of each class is taught, most of
which is right even where two thirds of the labels are wrong. The network then classifies the
others without having learned their labels, and joins the estimate at each update. After a share
of the epochs, every tile is taught whose class is more probable than all others together. If no
tile has a class, the tiles with that label are taught it: otherwise it could never be learned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from rsretrieve.training.targets.classify_by_others import Neighbourhood
from rsretrieve.training.targets.label_posterior import LabelPosterior
from rsretrieve.training.targets.target_settings import PosteriorSettings
from rsretrieve.training.targets.targets import Predictions, Targets, taught_classes

_MORE_PROBABLE = 0.5


class PosteriorPolicy:
    """Sets targets by the posterior of the classes.

    Args:
        settings: when which tiles are taught.
        estimate: of the classes of the training tiles; it is changed.

    Attributes:
        k: None, see `TargetPolicy.k`.
    """

    k = None

    def __init__(self, settings: PosteriorSettings, estimate: LabelPosterior) -> None:
        self.settings, self.estimate = settings, estimate

    @classmethod
    def of(
        cls,
        settings: PosteriorSettings,
        views: Sequence[Neighbourhood],
        given: Tensor,
        confirmed: Tensor,
        classes: int,
        seed: int,
    ) -> PosteriorPolicy:
        """Estimate the classes from vectors and given labels; see `LabelPosterior.fitted`."""
        estimate = LabelPosterior.fitted(given, confirmed, classes, views, seed)
        return cls(settings, estimate)

    def first_targets(self) -> Targets:
        """What is taught before the first update."""
        return self._targets(self.estimate.certain())

    def update(
        self, predictions: Predictions, given: Tensor, previous: Targets, progress: float
    ) -> Targets:
        """See `TargetPolicy.update`."""
        untaught = previous.weights == 0
        self.estimate.include(predictions.log_p, untaught, self.settings.iterations)
        if progress < self.settings.teach_all_after:
            return self._targets(self.estimate.certain())
        return self._targets(self.estimate.posterior.amax(dim=1) > _MORE_PROBABLE)

    def _targets(self, taught: Tensor) -> Targets:
        """The most probable classes; of a class that no tile would be taught the given labels."""
        given, posterior = self.estimate.given, self.estimate.posterior
        labels = posterior.argmax(dim=1)
        is_lost = ~taught_classes(labels, taught, posterior.shape[1])[given]
        return Targets(torch.where(is_lost, given, labels), (taught | is_lost).float())

    def tensors(self) -> dict[str, Tensor]:
        """See `TargetPolicy.tensors`."""
        return self.estimate.tensors()

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """See `TargetPolicy.restore`."""
        self.estimate.restore(tensors)
