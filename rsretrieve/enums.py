"""The names that a user can choose from. Importing this module loads no heavy library."""

from __future__ import annotations

from enum import StrEnum

NO_WEIGHTS = "none"
"""Value of `train --weights` that starts without pre-trained weights."""

IMAGENET_WEIGHTS = "imagenet"
"""Value of `--weights` for the weights that a backbone is published with."""

NO_LABELS = "none"
"""Value of `train --labels` that asks for a training without labels."""


class LossName(StrEnum):
    """The loss functions."""

    T_RNSL = "t-rnsl"
    RNSL = "rnsl"
    NSL = "nsl"


class RecipeName(StrEnum):
    """The training recipes that come with rsretrieve."""

    ROBUST = "robust"
    PAPER = "paper"


class Normalisation(StrEnum):
    """What tiles are normalised by."""

    WEIGHTS = "weights"  # 8-bit RGB: what the backbone's weights expect; others: as TILES
    TILES = "tiles"  # the mean and the deviation of the training tiles
    REFLECTANCE = "reflectance"  # 16 bits: values are divided by 10,000


class OptimizerName(StrEnum):
    """The optimizers."""

    SGD = "sgd"  # with Nesterov momentum
    ADAMW = "adamw"


class Schedule(StrEnum):
    """The learning-rate schedules."""

    HALVING = "halving"  # constant, halved at fixed intervals
    ONE_CYCLE = "one-cycle"  # rises along a cosine, then falls to zero along a longer one


class ModelSelection(StrEnum):
    """Which of the models that a training produces sets the weights m_i, or is saved."""

    LAST = "last"  # the current one
    BEST = "best"  # the latest whose validation accuracy is within a standard error of the best
    AVERAGE = "average"  # an exponential moving average of the parameters


class Validation(StrEnum):
    """How the class of a validation tile is predicted. It is compared with the given label."""

    PROTOTYPES = "prototypes"  # the nearest prototype
    NEIGHBOURS = "neighbours"  # the given labels of the 10 nearest training tiles of weight 1


class Symmetry(StrEnum):
    """Which mirror images and rotations of a tile show the same scene."""

    NONE = "none"
    HORIZONTAL = "horizontal"  # left and right swapped
    DIHEDRAL = "dihedral"  # all eight flips and quarter turns: a scene from above has no "up"


class NoiseKind(StrEnum):
    """How true labels are replaced by wrong ones."""

    UNIFORM = "uniform"
    TABLE = "table"
    LABEL_DEPENDENT = "label-dependent"  # another name of TABLE
    INSTANCE = "instance"


class Engine(StrEnum):
    """What embeds the tiles of an index."""

    LOCAL = "local"
    RAY = "ray"  # processes of a Ray cluster


class Edges(StrEnum):
    """What happens to the windows that extend beyond a scene's right and lower edge."""

    DROP = "drop"
    PAD = "pad"  # pixels outside the scene count as nodata
