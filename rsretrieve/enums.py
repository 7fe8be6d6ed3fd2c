"""The names that a user can choose from; light, so that `--help` can list them at once."""

from __future__ import annotations

from enum import StrEnum

NO_WEIGHTS = "none"
"""As `train --weights` takes it: start from nothing."""


class LossName(StrEnum):
    """The losses."""

    T_RNSL = "t-rnsl"
    RNSL = "rnsl"
    NSL = "nsl"


class RecipeName(StrEnum):
    """The recipes that come with rsretrieve."""

    ROBUST = "robust"
    PAPER = "paper"


class OptimizerName(StrEnum):
    """The optimizers."""

    SGD = "sgd"  # with Nesterov momentum
    ADAMW = "adamw"


class Schedule(StrEnum):
    """How the learning rate goes."""

    HALVING = "halving"  # constant, halved at fixed intervals
    ONE_CYCLE = "one-cycle"  # up by a cosine, then down to zero by a longer one


class Judge(StrEnum):
    """Which of the networks that a training passes through sets the weights m_i, and is kept."""

    LAST = "last"  # the current one
    BEST = "best"  # the latest whose validation accuracy is within a standard error of the best
    AVERAGE = "average"  # an exponential moving average of the parameters


class Validation(StrEnum):
    """How a validation tile's class is predicted, to be held against its given label."""

    PROTOTYPES = "prototypes"  # the nearest prototype
    NEIGHBOURS = (
        "neighbours"  # the 10 nearest training tiles with weight 1 vote with their given labels
    )


class Symmetry(StrEnum):
    """Which mirror images and turns of a tile count as the same scene."""

    NONE = "none"
    HORIZONTAL = "horizontal"  # left and right swapped
    DIHEDRAL = "dihedral"  # all eight flips and quarter turns: overhead there is no up


class NoiseKind(StrEnum):
    """How labels go wrong."""

    UNIFORM = "uniform"
    TABLE = "table"
    INSTANCE = "instance"


class Edges(StrEnum):
    """What becomes of the windows that reach over a scene's right and lower edge."""

    DROP = "drop"
    PAD = "pad"  # what lies outside counts as nodata
