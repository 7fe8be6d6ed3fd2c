"""The bands of weights: from their file's own words, or from the names of torchgeo's files."""

from __future__ import annotations

import argparse
import json

import pytest
import torch
from safetensors.torch import save_file

from rsretrieve.network.backbones.weight_bands import bands_of_weights

TENSORS = {"conv1.weight": torch.zeros(4, 3, 3, 3)}


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ('["B4", "B3", "B2"]', ("B4", "B3", "B2")),
        ("B4, B3,B2", ("B4", "B3", "B2")),
        ("VV", ("VV",)),
        ("", ()),
        ("[1, 2]", ()),
        ('["B4", ""]', ()),
        ("{}", ()),
        (json.dumps(["x" * 65]), ()),
        (json.dumps(["x"] * 1001), ()),
    ],
)
def test_safetensors_say_their_bands_in_their_metadata(tmp_path, said, found):
    save_file(TENSORS, tmp_path / "w.safetensors", {"bands": said})
    assert bands_of_weights(tmp_path / "w.safetensors") == found


@pytest.mark.parametrize(
    "content",
    [
        {"bands": ["B8", "B4"]},
        {"hyper_parameters": {"bands": ("B8", "B4"), "lr": 0.1}},
        {"meta": {"bands": "B8,B4"}},
        {"args": argparse.Namespace(bands=["B8", "B4"])},
    ],
)
def test_checkpoints_say_their_bands_beside_their_tensors(tmp_path, content):
    torch.save({"state_dict": TENSORS, **content}, tmp_path / "w.ckpt")
    assert bands_of_weights(tmp_path / "w.ckpt") == ("B8", "B4")


@pytest.mark.parametrize(
    ("name", "count", "first", "last"),
    [
        ("resnet18_sentinel2_all_moco-59bfdff9", 13, "B1", "B12"),
        ("vit_small_patch16_224_sentinel2_all_dino-36bcc127", 13, "B1", "B12"),
        ("resnet50_landsat_tm_toa_simclr-a1c93432", 7, "B1", "B7"),
        ("resnet18_landsat_etm_sr_moco-4f078acd", 6, "SR_B1", "SR_B7"),
        ("resnet18_landsat_oli_tirs_toa_moco-a3002f51", 11, "B1", "B11"),
        ("resnet18_sentinel2_rgb_seco-cefca942", 3, "B4", "B2"),
    ],
)
def test_the_files_of_torchgeo_say_them_by_their_names(tmp_path, name, count, first, last):
    torch.save(TENSORS, tmp_path / f"{name}.pth")
    found = bands_of_weights(tmp_path / f"{name}.pth")
    assert (len(found), found[0], found[-1]) == (count, first, last)


def test_other_files_say_none(tmp_path):
    torch.save(TENSORS, tmp_path / "sentinel2_all.pth")
    (tmp_path / "damaged.safetensors").write_bytes(b"\xff" * 100)
    (tmp_path / "damaged.pth").write_bytes(b"\xff" * 100)
    for name in ("sentinel2_all.pth", "damaged.safetensors", "damaged.pth", "missing.pth"):
        assert bands_of_weights(tmp_path / name) == ()
