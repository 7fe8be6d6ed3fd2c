"""Images of another content are other images, whatever their names and times say."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rsretrieve._core.atomic_write import sha256_of_file, sha256_of_json
from rsretrieve.comparison.choice import Cell, TrainingChoice
from rsretrieve.comparison.test_set import prepare_test
from rsretrieve.comparison.tile_digest import ImageDigests, TileDigest
from rsretrieve.comparison.training_set import NoisyLabels, cells_digest, noise_slug
from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.labels.noise_choice import NoiseChoice
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.data.windowing import SceneChoices, WindowChoices
from rsretrieve.errors import OutputExists
from rsretrieve.network.metadata import WEIGHTS_FILE
from rsretrieve.training.recipe import recipe_for
from tests.support.tiles.made_tiles import save_raster

WINDOWS = SceneChoices(WindowChoices(32))


def save(path: Path, value: int) -> None:
    """Write an image of one value, whose size does not depend on it, with the times of before."""
    times = path.stat() if path.exists() else None
    save_raster(path, np.full((1, 64, 64), value, np.uint8))
    if times is not None:
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.fixture
def place(tmp_path) -> Path:
    """Two classes of two images; the bands of a scene; a list of two of the images."""
    folder = tmp_path / "one"
    for name in ("a", "b"):
        for number in range(2):
            save(folder / "tiles" / name / f"{number}.tif", 1 + number + 10 * (name == "b"))
    for band in ("B02", "B03"):
        save(folder / "bands" / f"scene_{band}.tif", 40)
    (folder / "list.csv").write_text(
        "tile,path,label\nx,tiles/a/0.tif,a\ny,tiles/b/1.tif,b\n", encoding="utf-8"
    )
    return folder


def found(place: Path, kind: str) -> TileSet:
    if kind == "windows":
        return find_tiles(place / "tiles", None, WINDOWS)
    if kind == "stack":
        return find_tiles(place / "bands", None, SceneChoices(stack=("B02", "B03")))
    return find_tiles(place / ("list.csv" if kind == "list" else "tiles"))


def digest(place: Path, kind: str) -> str:
    return ImageDigests().of(found(place, kind))


@pytest.mark.parametrize(
    ("kind", "changed"),
    [
        *[("folder", "tiles/b/1.tif"), ("list", "tiles/b/1.tif")],
        *[("windows", "tiles/b/1.tif"), ("stack", "bands/scene_B03.tif")],
    ],
)
def test_replaced_images_are_told_and_touched_or_moved_ones_are_the_same(place, kind, changed):
    before = digest(place, kind)
    os.utime(place / changed, (1, 1))
    assert digest(place, kind) == before
    place = place.rename(place.with_name("moved"))
    assert digest(place, kind) == before
    copied = shutil.copytree(place, place.with_name("copied"))
    assert digest(copied, kind) == before
    save(place / changed, 99)
    assert digest(place, kind) != before


def test_a_list_that_names_other_files_by_the_same_ids_has_other_images(place):
    before = digest(place, "list")
    path = place / "list.csv"
    path.write_text(path.read_text().replace("a/0.tif", "a/1.tif"), encoding="utf-8")
    assert digest(place, "list") != before


def test_sidecars_and_the_resolution_of_windows_count(place):
    before = digest(place, "folder")
    (place / "tiles" / "a" / "0.tif.aux.xml").write_text("<PAMDataset></PAMDataset>")
    assert digest(place, "folder") != before
    (window,) = {tile.window for tile in found(place, "windows") if tile.id == "a/0.tif#0,0,32,32"}
    tile = found(place, "windows")[0]
    coarse = replace(tile, window=replace(window, read_px=16))
    assert ImageDigests().of([replace(tile, window=window)]) != ImageDigests().of([coarse])


def test_files_that_cannot_be_read_and_addresses_have_a_digest_too(tmp_path):
    missing = [Tile("a", str(tmp_path / "missing.tif"), "a")]
    assert ImageDigests().of(missing) == ImageDigests().of(missing)
    signed = [[Tile("a", f"https://x.org/a.tif?token={token}", "a")] for token in "12"]
    other = [Tile("a", "https://x.org/b.tif?token=1", "a")]
    assert ImageDigests().of(signed[0]) == ImageDigests().of(signed[1])
    assert ImageDigests().of(signed[0]) != ImageDigests().of(other)


@pytest.mark.parametrize("changed", ["tiles", "gallery"])
def test_a_test_with_replaced_images_is_another_test(place, changed):
    shutil.copytree(place / "tiles", place / "gallery")
    save(place / "gallery" / "a" / "0.tif", 70)

    def prepared():
        sides = (find_tiles(place / name) for name in ("tiles", "gallery"))
        return prepare_test(*sides, RunContext()).digest

    before = prepared()
    assert before == prepared()
    save(place / changed / "b" / "1.tif", 99)
    assert before.records == prepared().records
    assert before != prepared()


def file_of(place: Path, noise: str, made_from: dict[str, TileDigest]) -> Path:
    """The labels file of a cell with noise."""
    choice = TrainingChoice(
        (), recipe_for("robust", "none"), "none", noise=NoiseChoice.parse(noise)
    )
    noisy = NoisyLabels(place / "labels", made_from, ImageDigests())
    return noisy.file(Cell(choice, 0), found(place, "folder"), "cpu", RunContext())


def test_labels_with_noise_do_not_depend_on_the_images(place):
    (place / "labels").mkdir()
    made_from: dict[str, TileDigest] = {}
    path = file_of(place, "uniform:0.5", made_from)
    save(place / "tiles" / "b" / "1.tif", 99)
    assert file_of(place, "uniform:0.5", made_from) == path
    assert made_from[path.name].images == ""


def test_labels_with_the_noise_of_a_model_depend_on_the_images(place):
    weights, tiles = place / "model" / WEIGHTS_FILE, found(place, "folder")
    weights.parent.mkdir()
    weights.write_bytes(b"weights")
    text = f"instance:{weights.parent}:0.5"
    content = sha256_of_json([sha256_of_file(weights)])
    records = sha256_of_json([text, content, cells_digest(tiles)])
    path = place / "labels" / f"{noise_slug(NoiseChoice.parse(text), None)}-seed0.csv"
    path.parent.mkdir()
    path.touch()
    made_from = {path.name: TileDigest(records, ImageDigests().of(tiles))}
    assert file_of(place, text, made_from) == path
    save(place / "tiles" / "b" / "1.tif", 99)
    with pytest.raises(OutputExists, match="labels or images"):
        file_of(place, text, made_from)
    assert file_of(place, text, {path.name: TileDigest(records)}) == path


def test_unknown_images_are_trusted_only_if_that_is_asked():
    old, now = TileDigest.from_json("ids"), TileDigest("ids", "images")
    assert TileDigest.from_json(now.to_json()) == now
    assert old.is_unchanged(now, trust_unknown=True)
    assert not old.is_unchanged(now, trust_unknown=False)
    assert not old.is_unchanged(TileDigest("others", "images"), trust_unknown=True)
    assert not TileDigest("ids", "others").is_unchanged(now, trust_unknown=True)
