"""The script that makes a shipped model: anybody can repeat it, and gets the same model."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.numpy import load_file
from safetensors.torch import save_file

from rsretrieve.network.metadata import ModelFolder, changed_files, read_description
from rsretrieve.network.shipped.shipped_models import facts_of
from tests.support.repository import ROOT

BACKBONE = "levels-1m/timm/tf_efficientnet_lite0"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (ROOT / "tools").is_dir(), reason="the scripts are not beside the tests"
    ),
]


@pytest.fixture
def script(monkeypatch):
    """The script of that name."""
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import make_shipped_model

    yield make_shipped_model
    sys.modules.pop("make_shipped_model")


@pytest.fixture
def tiles(tmp_path):
    """Eight tiles of two classes."""
    random = np.random.default_rng(0)
    for number in range(8):
        path = tmp_path / "tiles" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 256 >> 2 * (number % 2), (64, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    return tmp_path / "tiles"


@pytest.mark.exhaustive
def test_a_model_is_made_measured_and_made_again(script, tiles, tmp_path, capsys):
    torch.manual_seed(0)
    save_file(
        dict(timm.create_model("tf_efficientnet_lite0").state_dict()), tmp_path / "w.safetensors"
    )
    given = [
        *("--weights", tmp_path / "w.safetensors", "--backbone", BACKBONE, "--tiles", tiles),
        *("--size", 32, "--source", "somewhere", "--licence", "MIT"),
    ]

    def made(name: str, *more: object) -> Path:
        script.main([*map(str, given), "--output", str(tmp_path / name), *map(str, more)])
        return tmp_path / name

    first, again = made("first", "--measure", f"These={tiles}"), made("again")
    description = read_description(first)
    assert changed_files(ModelFolder(first, description)) == ()
    assert read_description(again).fingerprint == description.fingerprint
    assert (
        load_file(first / "model.safetensors")["network.backbone.network.conv_stem.weight"].dtype
        == np.float16
    )
    facts = facts_of(description)
    assert (facts.name, facts.weights, facts.licence) == ("first", "somewhere", "MIT")
    assert [(one.tiles, one.count, one.fitted) for one in facts.figures] == [
        ("These", 8, False),
        ("These", 8, True),
    ]
    assert all(0 <= one.knn_accuracy <= 1 and 0 < one.map <= 1 for one in facts.figures)
    card = (first / "README.md").read_text(encoding="utf-8")
    assert "| These | 8 |" in card
    assert "Not measured" in (again / "README.md").read_text(encoding="utf-8")
    assert str(tmp_path) not in card + (first / "model.json").read_text(encoding="utf-8")
    assert description.fingerprint in capsys.readouterr().out
    with pytest.raises(Exception, match="already exists"):
        made("first")
