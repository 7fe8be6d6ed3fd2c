"""A comparison whose images were replaced since an earlier run, or are of an earlier version."""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import rsretrieve
from rsretrieve.errors import OutputExists, RsretrieveWarning, TileError
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


def compare_pictures(place: Path, said: list, **changed):
    options = {**QUICK, "test": place / "test", "vary": {"dimensions": [4, 8]}, **changed}
    tiles = options.pop("tiles", place / "tiles")
    return rsretrieve.compare(tiles, place / "out", progress=said.append, **options)


def made(place: Path, what: str) -> dict[Path, int]:
    pattern = {"models": "models/*/model.safetensors", "figures": "queries/*.csv"}[what]
    return {path: path.stat().st_mtime_ns for path in (place / "out").glob(pattern)}


def notices(said: list) -> str:
    return " ".join(one.text for one in said if isinstance(one, Noticed))


@pytest.mark.slow
def test_unreadable_tiles_are_told_on_every_run(pictures):
    for kind in ("tiles", "test"):
        first = min((pictures / kind / "a").iterdir())
        first.write_bytes(first.read_bytes()[:200])
    for again in range(2):
        with pytest.warns(RsretrieveWarning, match="2 tiles"):
            found = compare_pictures(pictures, [])
        assert found.gallery == 11, again
    with pytest.raises(TileError):
        compare_pictures(pictures, [], strict=True)


@pytest.mark.slow
def test_a_refused_run_changes_nothing_and_configs_of_objects_are_whole(pictures, tmp_path):
    tiles = rsretrieve.open_tiles([pictures / "tiles", pictures / "test"])
    options = {"tiles": tiles, "seeds": 2, "vary": {"bands": [[3, 2, 1], [1]]}}
    compare_pictures(pictures, [], **options)
    state = {p: p.read_bytes() for p in (pictures / "out").rglob("*") if p.is_file()}
    for path in (pictures / "out").glob("models/*/config.toml"):
        assert tomllib.loads(path.read_text())["train"]["tiles"] == [
            str(pictures / "out" / "train.csv")
        ]
    config = pictures / "out" / "config.toml"
    assert tomllib.loads(config.read_text())["compare"]["vary"] == ["bands=3,2,1;1"]
    assert "# tiles is missing" in config.read_text()
    for changed in ({}, {"vary": {"dimensions": [4, 8]}}):  # the same models; others beside them
        fewer = {**options, "tiles": tiles[1:], **changed}
        with pytest.raises(OutputExists):
            compare_pictures(pictures, [], **fewer)
        assert state == {p: p.read_bytes() for p in state}


@pytest.mark.slow
def test_a_comparison_without_any_model_has_no_figures(pictures):
    said: list = []
    vary = {"learning_rate": [1e30, 2e30]}
    found = compare_pictures(pictures, said, epochs=1, vary=vary)
    assert "has no figures" in notices(said)
    assert [one.by_seed for one in found.summaries] == [(), ()]


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
    assert "overwrite=True" in error.value.hint
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
