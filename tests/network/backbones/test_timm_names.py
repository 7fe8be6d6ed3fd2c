"""timm's names: those of the installed version, known without importing it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from rsretrieve.errors import InvalidArgument
from rsretrieve.network.backbone_names import check_backbone_name
from rsretrieve.network.backbones.timm_names import (
    architecture_of,
    architectures,
    is_known,
    is_timm,
    weights_tag_of,
)


@pytest.mark.slow
def test_the_names_are_timms() -> None:
    import timm

    assert sorted(architectures()) == sorted(timm.list_models())


@pytest.mark.parametrize(
    ("name", "architecture", "tag"),
    [
        ("timm/resnet18", "resnet18", ""),
        ("timm/vit_small_patch14_dinov2.lvd142m", "vit_small_patch14_dinov2", "lvd142m"),
    ],
)
def test_a_name_may_have_a_tag_of_weights(name: str, architecture: str, tag: str) -> None:
    assert (architecture_of(name), weights_tag_of(name)) == (architecture, tag)
    assert is_known(name)
    check_backbone_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "timm/",
        "timm/resnet18.of_nobody",
        "timm/resnet19",
        "timm/hf-hub:timm/resnet18.a1_in1k",
        "timm/hf_hub:resnet18",
        "timm/local-dir:/tmp/resnet18",
        "timm/../resnet18",
        "timm/resnet18 ",
        "timm/resnet18.a1_in1k\n",
        "timm/timm/resnet18",
    ],
)
def test_addresses_folders_and_wrong_names_are_refused(name: str) -> None:
    assert is_timm(name)
    assert not is_known(name)
    with pytest.raises(InvalidArgument, match="no such backbone"):
        check_backbone_name(name)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("timm/tf_efficientnet_lite00", "timm/tf_efficientnet_lite0"),
        ("timm/vit_smal_patch14_dinov2", "timm/vit_small_patch14_dinov2"),
        ("timm/resnet18.a1_in1", "timm/resnet18"),
        ("tf_efficientnet_lite0", "timm/tf_efficientnet_lite0"),
    ],
)
def test_near_names_are_suggested(typed: str, meant: str) -> None:
    with pytest.raises(InvalidArgument) as raised:
        check_backbone_name(typed)
    assert meant in str(raised.value.hint)


@pytest.mark.medium
def test_a_check_imports_neither_timm_nor_pytorch() -> None:
    program = (
        "import sys\n"
        "from rsretrieve.network.backbone_names import check_backbone_name\n"
        "check_backbone_name('timm/resnet18')\n"
        "print({'timm', 'torch'} & {*sys.modules})"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "set()"
