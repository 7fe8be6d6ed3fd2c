"""A comparison whose images were replaced since an earlier run, or are of an earlier version."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import rsretrieve
from rsretrieve.errors import OutputExists
from rsretrieve.progress import Noticed

QUICK = {
    **{"backbone": "squeezenet1_1", "weights": "none", "size": 32, "epochs": 0},
    **{"freeze_backbone": True, "batch_size": 16, "seeds": 2, "device": "cpu"},
}


def picture(path: Path, seed: int) -> None:
    """Replace an image by another one of the same size, and keep its times."""
    times = path.stat() if path.exists() else None
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(1, 255, (32, 32, 3), np.uint8)
    Image.fromarray(pixels).save(path, compress_level=0)
    if times is not None:
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.fixture
def pictures(tmp_path) -> Path:
    """Training and test tiles of two classes."""
    for seed in range(24):
        kind, name = ("tiles", "test")[seed % 2], "ab"[seed % 4 // 2]
        picture(tmp_path / kind / name / f"{seed}.png", seed)
    return tmp_path


def compare_pictures(place: Path, said: list, **changed) -> None:
    options = {**QUICK, "test": place / "test", "vary": {"dimensions": [4, 8]}, **changed}
    rsretrieve.compare(place / "tiles", place / "out", progress=said.append, **options)


def made(place: Path, what: str) -> dict[Path, int]:
    pattern = {"models": "models/*/model.safetensors", "figures": "queries/*.csv"}[what]
    return {path: path.stat().st_mtime_ns for path in (place / "out").glob(pattern)}


def notices(said: list) -> str:
    return " ".join(one.text for one in said if isinstance(one, Noticed))


@pytest.mark.slow
@pytest.mark.parametrize("changed", ["tiles", "test"])
def test_replaced_images_are_refused_until_overwriting_is_allowed(pictures, changed):
    compare_pictures(pictures, [])
    models, figures = made(pictures, "models"), made(pictures, "figures")
    for path in (pictures / changed).glob("*/*.png"):
        os.utime(path)
    compare_pictures(pictures, [])
    assert (made(pictures, "models"), made(pictures, "figures")) == (models, figures)
    first = min((pictures / changed / "a").iterdir())
    picture(first, 99)
    with pytest.raises(OutputExists, match="other images") as error:
        compare_pictures(pictures, [])
    assert "--overwrite" in error.value.hint
    assert (made(pictures, "models"), made(pictures, "figures")) == (models, figures)
    compare_pictures(pictures, [], overwrite=True)
    assert not set(figures.values()) & set(made(pictures, "figures").values())
    kept = set(models.values()) & set(made(pictures, "models").values())
    assert len(kept) == (0 if changed == "tiles" else 4)
    compare_pictures(pictures, [])


@pytest.mark.slow
def test_a_comparison_of_an_earlier_version_is_used_and_made_again_with_a_notice(pictures):
    said: list = []
    compare_pictures(pictures, said)
    assert "earlier version" not in notices(said)
    models, state = made(pictures, "models"), pictures / "out" / "comparison.json"
    old = json.loads(state.read_text())
    old["schema"] = 1
    old["trained"] = {name: records for name, (records, _) in old["trained"].items()}
    old["measured"] = {name: [one[0] for one in both] for name, both in old["measured"].items()}
    state.write_text(json.dumps(old))
    for again in range(2):
        compare_pictures(pictures, said := [])
        assert "4 finished trainings" in notices(said), again
        assert "count as unchanged" in notices(said)
        assert made(pictures, "models") == models
    compare_pictures(pictures, said := [], overwrite=True)
    assert "are made again" in notices(said)
    assert not set(models.values()) & set(made(pictures, "models").values())
    compare_pictures(pictures, said := [])
    assert "earlier version" not in notices(said)
