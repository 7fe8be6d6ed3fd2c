"""Names of backbones that pool several levels."""

from __future__ import annotations

import pytest

from rsretrieve.errors import InvalidArgument
from rsretrieve.network.backbone_names import check_backbone_name
from rsretrieve.network.backbones.level_names import EXAMPLE, Level, levels_name, network_of


def test_a_name_says_the_levels_and_what_is_kept_of_each() -> None:
    found = levels_name("levels-1m-3s-12ms/timm/vit_tiny_patch16_224")
    assert found is not None
    assert found.levels == (Level(1, True, False), Level(3, False, True), Level(12, True, True))
    assert found.network == "timm/vit_tiny_patch16_224"
    assert str(found) == "levels-1m-3s-12ms/timm/vit_tiny_patch16_224"
    assert network_of(str(found)) == found.network
    assert network_of("resnet18") == "resnet18"


@pytest.mark.parametrize(
    "name",
    [
        *("resnet18", "timm/resnet18", "levels/timm/resnet18", "levels-2/timm/resnet18"),
        *("levels-2x/timm/resnet18", "levels-2sm/timm/resnet18", "levels-3m-2m/timm/resnet18"),
        *("levels-2m-2s/timm/resnet18", "levels-2m/resnet18", "levels-2m-/timm/resnet18"),
        *("levels-02m/timm/resnet18", "levels-2m3m/timm/resnet18", "levels--2m/timm/resnet18"),
    ],
)
def test_other_names_name_no_levels(name: str) -> None:
    assert levels_name(name) is None


def test_a_wrong_name_is_refused_with_an_example() -> None:
    check_backbone_name(EXAMPLE)
    with pytest.raises(InvalidArgument, match="levels") as caught:
        check_backbone_name("levels-3m-2m/timm/tf_efficientnet_lite0")
    assert EXAMPLE in caught.value.hint
    with pytest.raises(InvalidArgument, match="no such backbone"):
        check_backbone_name("levels-2m/timm/no_such_network")
