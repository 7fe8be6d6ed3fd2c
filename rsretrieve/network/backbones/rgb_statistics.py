"""The normalisation of 8-bit RGB tiles that a backbone's weights expect."""

from __future__ import annotations

from rsretrieve.data.preprocessing.band_statistics import IMAGENET
from rsretrieve.data.preprocessing.preprocessing import BandStatistics
from rsretrieve.network.backbones.level_names import network_of
from rsretrieve.network.backbones.timm_names import is_timm

RGB_BANDS = 3
_WHITE = 255.0


def rgb_statistics(backbone: str) -> BandStatistics:
    """Mean and deviation that the pre-trained weights of a backbone expect, in 0…255.

    Args:
        backbone: its name. torchvision's weights expect those of ImageNet; timm says for each
            model what its weights expect.
    """
    backbone = network_of(backbone)
    if not is_timm(backbone):
        return IMAGENET
    from rsretrieve.network.backbones.timm_models import pretraining

    facts = pretraining(backbone)
    mean, deviation = facts.get("mean", ()), facts.get("std", ())
    if not (len(mean) == len(deviation) == IMAGENET.bands):
        return IMAGENET
    return BandStatistics(
        mean=tuple(_WHITE * value for value in mean),
        deviation=tuple(_WHITE * value for value in deviation),
        low=IMAGENET.low,
        high=IMAGENET.high,
    )
