"""The names of backbones that pool several levels of a network, read without PyTorch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

from rsretrieve.network.backbones.timm_names import PREFIX

_BEGINNING = "levels-"
_NAME = re.compile(rf"levels-((?:\d{{1,2}}(?:ms|m|s)-?)+)/({re.escape(PREFIX)}.+)")
_LEVEL = re.compile(r"(\d+)(ms|m|s)")

EXAMPLE = "levels-3ms-5ms/timm/tf_efficientnet_lite0"


@dataclass(frozen=True)
class Level:
    """A level of a network, and what is kept of its feature maps.

    Attributes:
        number: of the level, as timm's `forward_intermediates` counts them from 0: of an
            EfficientNet, level 0 is the stem and level i is stage i; of a vision transformer,
            level i is block i.
        has_mean: the mean of each map is kept.
        has_deviation: its standard deviation is.
    """

    number: int
    has_mean: bool
    has_deviation: bool

    def __str__(self) -> str:
        return f"{self.number}{'m' * self.has_mean}{'s' * self.has_deviation}"


@dataclass(frozen=True)
class LevelsName:
    """A backbone that pools several levels of a network.

    Its name is `levels-LEVEL-LEVEL…/timm/NAME`. A LEVEL is a number with `m` (mean), `s` (standard
    deviation) or `ms` (both). The pooled features of the whole network come first and are not
    named.

    Attributes:
        levels: in ascending order.
        network: the network, `timm/NAME`.
    """

    levels: tuple[Level, ...]
    network: str

    def __str__(self) -> str:
        return f"{_BEGINNING}{'-'.join(map(str, self.levels))}/{self.network}"


def levels_name(name: str) -> LevelsName | None:
    """Read the name of a backbone of several levels; None for other backbones."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    levels = tuple(Level(int(n), "m" in kept, "s" in kept) for n, kept in _LEVEL.findall(found[1]))
    read = LevelsName(levels, found[2])
    is_ascending = all(a.number < b.number for a, b in pairwise(levels))
    return read if is_ascending and str(read) == name else None


def is_like_levels(name: str) -> bool:
    """Whether a name is, or should be, one of several levels."""
    return name.startswith("levels")


def network_of(name: str) -> str:
    """The network of a backbone of several levels; other names as they are."""
    found = levels_name(name)
    return name if found is None else found.network
