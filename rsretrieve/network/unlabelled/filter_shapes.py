"""The name of a backbone of random convolutions, and the shapes of its filters."""

from __future__ import annotations

import re

KERNEL_SIZES = (3, 5, 7)
_NAME = re.compile(r"random-convolutions-([1-9][0-9]{0,3})")


def random_convolutions_name(filters: int) -> str:
    """The name of a backbone with this many filters of each kernel size."""
    return f"random-convolutions-{filters}"


def filters_of(name: str) -> int | None:
    """The filters of each kernel size of a backbone by its name; None for other backbones."""
    found = _NAME.fullmatch(name)
    return int(found[1]) if found else None


def filter_shapes(name: str, bands: int) -> dict[str, tuple[int, ...]]:
    """The shapes of the filters of a model's backbone, by tensor; empty for other backbones.

    A name may ask for more memory than exists, and a file that has these tensors cannot.
    """
    filters = filters_of(name)
    if filters is None:
        return {}
    return {
        f"network.backbone.convolutions.{number}.weight": (filters, bands, side, side)
        for number, side in enumerate(KERNEL_SIZES)
    }
