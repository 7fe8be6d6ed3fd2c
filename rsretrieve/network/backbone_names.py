"""The names of backbones, known without importing PyTorch."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from rsretrieve.errors import InvalidArgument
from rsretrieve.network.backbones import timm_names
from rsretrieve.network.backbones.level_names import EXAMPLE, is_like_levels, levels_name

_NAMES = """
    alexnet convnext_base convnext_large convnext_small convnext_tiny densenet121 densenet161
    densenet169 densenet201 efficientnet_b0 efficientnet_b1 efficientnet_b2 efficientnet_b3
    efficientnet_b4 efficientnet_b5 efficientnet_b6 efficientnet_b7 efficientnet_v2_l
    efficientnet_v2_m efficientnet_v2_s googlenet inception_v3 maxvit_t mnasnet0_5 mnasnet0_75
    mnasnet1_0 mnasnet1_3 mobilenet_v2 mobilenet_v3_large mobilenet_v3_small regnet_x_16gf
    regnet_x_1_6gf regnet_x_32gf regnet_x_3_2gf regnet_x_400mf regnet_x_800mf regnet_x_8gf
    regnet_y_128gf regnet_y_16gf regnet_y_1_6gf regnet_y_32gf regnet_y_3_2gf regnet_y_400mf
    regnet_y_800mf regnet_y_8gf resnet101 resnet152 resnet18 resnet34 resnet50 resnext101_32x8d
    resnext101_64x4d resnext50_32x4d shufflenet_v2_x0_5 shufflenet_v2_x1_0 shufflenet_v2_x1_5
    shufflenet_v2_x2_0 squeezenet1_0 squeezenet1_1 swin_b swin_s swin_t swin_v2_b swin_v2_s
    swin_v2_t vgg11 vgg11_bn vgg13 vgg13_bn vgg16 vgg16_bn vgg19 vgg19_bn vit_b_16 vit_b_32
    vit_h_14 vit_l_16 vit_l_32 wide_resnet101_2 wide_resnet50_2
"""
BACKBONES = tuple(_NAMES.split())


def check_backbone_name(name: str) -> None:
    """Check that torchvision or timm has a model of that name, without importing them.

    Raises:
        InvalidArgument: they have none; the hint names similar ones.
    """
    if is_like_levels(name):
        levels = levels_name(name)
        if levels is None:
            raise InvalidArgument(
                f"{name!r} does not name levels of a network",
                hint=f"for example {EXAMPLE}: of levels 3 and 5, counted from 0, the means (m) "
                "and the standard deviations (s), in ascending order",
            )
        name = levels.network
    if timm_names.is_timm(name):
        if not timm_names.is_known(name):
            raise unknown_backbone(name, timm_names.known_names())
        return
    if name not in BACKBONES and not _is_defined(name):
        raise unknown_backbone(name, BACKBONES)


def unknown_backbone(name: str, names: Sequence[str]) -> InvalidArgument:
    """The error of a name that no backbone has."""
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    of_timm = timm_names.PREFIX + name
    if timm_names.is_known(of_timm):
        near = [of_timm, *near[:2]]
    known = f"known: timm/NAME or {', '.join(BACKBONES)}"
    return InvalidArgument(
        f"no such backbone: {name!r}",
        hint=f"did you mean {' or '.join(near)}?" if near else known,
    )


def _is_defined(name: str) -> bool:
    """Whether torchvision has a function of that name: a later version may have more models."""
    spec = find_spec("torchvision")
    folders = (spec and spec.submodule_search_locations) or []
    definition = re.compile(rf"^def {re.escape(name)}\(", re.MULTILINE)
    return any(
        definition.search(path.read_text(encoding="utf-8"))
        for folder in folders
        for path in Path(folder, "models").glob("*.py")
    )
