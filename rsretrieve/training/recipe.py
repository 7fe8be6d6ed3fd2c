"""Recipes: every hyper-parameter of a training, in one record."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

from rsretrieve.data.preprocessing.augmentation import Augmentation
from rsretrieve.enums import (
    NO_WEIGHTS,
    LossName,
    ModelSelection,
    OptimizerName,
    RecipeName,
    Schedule,
    Symmetry,
    Validation,
)
from rsretrieve.errors import InvalidArgument
from rsretrieve.network.metadata import MAX_DIMENSIONS
from rsretrieve.training.targets.target_settings import AgreementSettings, PosteriorSettings

_CERTAINTY = 0.975


@dataclass(frozen=True)
class Recipe:
    """Every hyper-parameter of a training.

    Attributes:
        name: the recipe that this one was derived from.
        backbone: a torchvision classification model, or `timm/NAME`.
        size_px: S; tiles are resized to squares of this side.
        dimensions: D of the embedding.
        loss: the loss.
        temperature: initial σ; None derives it from the number of classes.
        learn_temperature: σ is a trained parameter.
        q: of RNSL and t-RNSL, 0 < q ≤ 1.
        k: the truncation of t-RNSL, 0 ≤ k < 1.
        optimizer, learning_rate, momentum, weight_decay: of the optimizer.
        schedule: the learning-rate schedule.
        halve_every: share of the epochs after which the rate is halved (halving).
        warm_up: share of the epochs in which the rate rises (one-cycle).
        epochs, batch_size: number of epochs, and of tiles a step. Without epochs the model is
            taken as it is: prototypes are the mean embeddings of the classes.
        head_epochs: epochs in which only the projection and the prototypes are trained, on the
            features of the starting backbone.
        first_update, update_every: shares of the epochs after which t-RNSL's weights m_i are set
            for the first time, and then again.
        weights_by: the model that sets the weights m_i.
        agreement: keep and replace labels where the network and a tile's neighbours agree; None
            uses the truncation alone, as published.
        posterior: if there are features that no label has shaped, estimate the classes of the
            tiles from them, and teach those; `agreement` is for trainings without such features.
        average_decay: decay of the moving average a step, after the first steps.
        keep: the model that is saved.
        validation: how the classes of validation tiles are predicted.
        imagenet_statistics: normalise 8-bit RGB tiles by the mean and the deviation that the
            backbone's pre-trained weights expect, ImageNet's for most, instead of their own.
        augmentation: random changes of training tiles.
        reflectance: divide 16-bit tiles by 10,000 instead of normalising them by their own mean
            and deviation.
        freeze_backbone: train only the projection and the prototypes, on features that the
            backbone computes once.

    Raises:
        InvalidArgument: a value is out of range.
    """

    name: RecipeName
    backbone: str
    size_px: int
    dimensions: int
    loss: LossName
    temperature: float | None
    learn_temperature: bool
    q: float
    k: float
    optimizer: OptimizerName
    learning_rate: float
    momentum: float
    weight_decay: float
    schedule: Schedule
    halve_every: float
    warm_up: float
    epochs: int
    batch_size: int
    head_epochs: int
    first_update: float
    update_every: float
    weights_by: ModelSelection
    agreement: AgreementSettings | None
    average_decay: float
    keep: ModelSelection
    validation: Validation
    imagenet_statistics: bool
    augmentation: Augmentation
    freeze_backbone: bool = False
    reflectance: bool = False
    posterior: PosteriorSettings | None = None

    def __post_init__(self) -> None:
        positive = ("size_px", "dimensions", "temperature", "learning_rate", "batch_size")
        for name in positive:
            value = getattr(self, name)
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise InvalidArgument(f"{name} must be positive, not {value}")
        if self.dimensions > MAX_DIMENSIONS:
            raise InvalidArgument(
                f"an embedding has at most {MAX_DIMENSIONS:,} dimensions, not {self.dimensions:,}"
            )
        if not 0 <= self.epochs < math.inf:
            raise InvalidArgument(f"epochs must be a number from 0 on, not {self.epochs}")
        if self.batch_size < 2:
            raise InvalidArgument("a batch has at least 2 tiles, as batch norm needs")
        if not 0 < self.q <= 1 or not 0 <= self.k < 1:
            raise InvalidArgument(f"0 < q ≤ 1 and 0 ≤ k < 1, not q = {self.q}, k = {self.k}")

    def options(self) -> dict[str, object]:
        """The values that options of `train` set, by the names of its parameters."""
        return {
            "backbone": self.backbone,
            "size": self.size_px,
            "dimensions": self.dimensions,
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "learning_rate": self.learning_rate,
            "optimizer": self.optimizer,
            "loss": self.loss,
            "temperature": self.temperature,
            "learn_temperature": self.learn_temperature,
            "q": self.q,
            "truncation": self.k,
            "freeze_backbone": self.freeze_backbone,
        }

    def for_classes(self, classes: int) -> Recipe:
        """The same recipe with the temperature for K classes filled in."""
        return replace(self, temperature=self.temperature_for(classes))

    def temperature_for(self, classes: int) -> float:
        """The initial σ for K classes.

        By default a tile on its own prototype, with the other prototypes at right angles, has
        p = 0.975:  σ = 1 / ln(39·(K − 1)). At the published 0.05 p saturates at small angles, so
        that tiles near a wrong prototype soon have a high probability.
        """
        odds = _CERTAINTY / (1 - _CERTAINTY)
        return self.temperature or 1 / math.log(odds * max(1, classes - 1))

    @property
    def trains_head_only(self) -> bool:
        """Whether the backbone stays as it is."""
        return self.freeze_backbone or not self.epochs

    @property
    def uses_average(self) -> bool:
        """Whether a moving average of the parameters is needed."""
        return ModelSelection.AVERAGE in (self.weights_by, self.keep)

    @property
    def update_epochs(self) -> frozenset[int]:
        """The epochs after which the weights m_i are set, from 1; empty for losses without them."""
        if self.loss is not LossName.T_RNSL:
            return frozenset()
        return self._epochs_from(self.first_update, self.update_every)

    @property
    def posterior_epochs(self) -> frozenset[int]:
        """The epochs after which the posterior sets targets anew, from 1."""
        posterior = self.posterior
        if self.loss is not LossName.T_RNSL or posterior is None:
            return frozenset()
        due = self._epochs_from(posterior.first_update, posterior.update_every)
        late = [epoch for epoch in due if epoch >= posterior.teach_all_after * self.epochs]
        # Afterwards no tile is left to tell how far the network can be trusted.
        return frozenset(epoch for epoch in due if epoch <= min(late, default=self.epochs))

    def _epochs_from(self, share: float, every: float) -> frozenset[int]:
        """The epochs, but for the last, after a share of all of them and then at intervals."""
        first, step = share * self.epochs, max(1.0, every * self.epochs)
        turns = range(math.ceil(max(0.0, self.epochs - first) / step))
        due = (math.ceil(first + turn * step) for turn in turns)
        return frozenset(epoch for epoch in due if 1 <= epoch < self.epochs)

    def learning_rate_at(self, progress: float) -> float:
        """The learning rate when `progress`, a share of the training (0…1), is finished."""
        if self.schedule is Schedule.HALVING:
            halvings = math.floor(progress / self.halve_every + 1e-9)  # 1e-9 against rounding
            return float(self.learning_rate * 0.5**halvings)
        if progress < self.warm_up:
            rise = (1 - math.cos(math.pi * progress / self.warm_up)) / 2
            return self.learning_rate * (0.04 + 0.96 * rise)
        fall = (progress - self.warm_up) / (1 - self.warm_up)
        return self.learning_rate * (1 + math.cos(math.pi * fall)) / 2

    def changed(self, **choices: Any) -> Recipe:
        """The same recipe with the given values; values that are None change nothing."""
        return replace(self, **{name: v for name, v in choices.items() if v is not None})

    def to_json(self) -> dict[str, Any]:
        """As JSON values. Without what earlier versions did not have, as in their checkpoints."""
        found = asdict(self)
        if not self.reflectance:
            del found["reflectance"]
        if self.posterior is None:
            del found["posterior"]
        return found


PAPER = Recipe(
    # Kang et al. 2020 and the defaults of its reference code; intervals are in 130ths.
    name=RecipeName.PAPER,
    backbone="resnet18",
    size_px=256,
    dimensions=128,
    loss=LossName.T_RNSL,
    temperature=0.05,
    learn_temperature=False,
    q=0.7,
    k=0.5,
    optimizer=OptimizerName.SGD,
    learning_rate=0.1,
    momentum=0.9,
    weight_decay=1e-4,
    schedule=Schedule.HALVING,
    halve_every=30 / 130,
    warm_up=0.0,
    epochs=130,
    batch_size=256,
    head_epochs=0,
    first_update=40 / 130,
    update_every=10 / 130,
    weights_by=ModelSelection.BEST,
    agreement=None,
    average_decay=0.0,
    keep=ModelSelection.BEST,
    validation=Validation.NEIGHBOURS,
    imagenet_statistics=True,
    augmentation=Augmentation(
        symmetry=Symmetry.HORIZONTAL,
        grayscale=0.2,
        brightness=0.4,
        contrast=0.4,
        saturation=0.4,
        hue=0.4,
    ),
)

_AGREEMENT = AgreementSettings(share=0.3, relabel=0.6, relabel_after=0.5, memory=0.7)

ROBUST = replace(
    # Small batches and one cycle suit small sets of tiles. A scene from above may be turned and
    # mirrored. Before the first epoch the classes of the tiles are estimated from features that no
    # label has shaped. Without such features the averaged model, together with each tile's
    # neighbours, decides which labels are kept and which are replaced. Figures:
    # benchmarks/RESULTS.md.
    PAPER,
    name=RecipeName.ROBUST,
    size_px=128,
    temperature=None,
    learning_rate=0.02,
    schedule=Schedule.ONE_CYCLE,
    warm_up=0.3,
    epochs=40,
    batch_size=64,
    head_epochs=30,
    first_update=0.3,
    update_every=0.0,
    weights_by=ModelSelection.AVERAGE,
    agreement=_AGREEMENT,
    posterior=PosteriorSettings(
        first_update=0.25, update_every=0.15, teach_all_after=0.65, iterations=4
    ),
    average_decay=0.99,
    keep=ModelSelection.AVERAGE,
    validation=Validation.PROTOTYPES,
    augmentation=Augmentation(symmetry=Symmetry.DIHEDRAL, zoom=0.25, shift=0.1),
)

ROBUST_BY_AGREEMENT = replace(
    # What `robust` was before the posterior. Without features that no label has shaped, `robust`
    # chooses labels as this recipe does, but at its own learning rate of 0.02; how it does at that
    # rate was not measured.
    ROBUST,
    learning_rate=0.01,
    posterior=None,
)

ROBUST_FROM_NOTHING = replace(
    # Without pre-trained weights larger steps are needed, and it takes longer until the network's
    # and the neighbours' predictions are reliable.
    ROBUST_BY_AGREEMENT,
    learning_rate=0.03,
    head_epochs=0,
    first_update=0.5,
    agreement=replace(_AGREEMENT, relabel_after=0.7),
)


ROBUST_FROZEN = replace(
    # Two layers bear larger steps. In each epoch the search for neighbours would take most of the
    # time. Figures: benchmarks/RESULTS.md.
    ROBUST_BY_AGREEMENT,
    freeze_backbone=True,
    learning_rate=0.05,
    update_every=0.05,
)


def recipe_for(name: RecipeName, weights: str, *, freeze_backbone: bool = False) -> Recipe:
    """Choose a recipe.

    Args:
        name: its name.
        weights: a value of `train --weights`; `none` starts without pre-trained weights.
        freeze_backbone: train only the projection and the prototypes.
    """
    if name is RecipeName.PAPER:
        return replace(PAPER, freeze_backbone=freeze_backbone)
    if freeze_backbone:
        return ROBUST_FROZEN
    return ROBUST_FROM_NOTHING if weights == NO_WEIGHTS else ROBUST
