"""Folders that cannot be listed are named: what lies in them is missing from the tiles."""

from __future__ import annotations

import errno
import json
import os

import pytest

from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.windowing import SceneChoices
from rsretrieve.errors import NoUsableTiles, TileError, TilesNotFound
from tests.support.tiles.made_tiles import noise, save_picture, save_raster

DENIED = "may not be read (permission denied)"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Tiles in three folders, of which `b` and `c/inner` may not be listed, even by root."""
    for name in ("a", "b", "c/inner", "c"):
        (tmp_path / "tiles" / name).mkdir(parents=True, exist_ok=True)
        save_picture(tmp_path / "tiles" / name / "x.png", noise((3, 9, 9)))
    real = os.scandir

    def denying(path):
        if str(path).endswith(("b", "inner")):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", denying)
    return tmp_path / "tiles"


def test_they_are_failures_like_tiles_that_cannot_be_read(folder):
    context = RunContext()
    found = find_tiles(folder, context=context)
    assert [tile.id for tile in found] == ["a/x.png", "c/x.png"]
    assert found.unseen == ("b/", "c/inner/")
    assert [(bad.tile_id, bad.reason) for bad in context.failures] == [
        ("b", f"a folder that cannot be listed: {DENIED}"),
        ("c/inner", f"a folder that cannot be listed: {DENIED}"),
    ]
    with pytest.raises(TileError, match=r"^b: a folder that cannot be listed"):
        find_tiles(folder, context=RunContext(strict=True))


def test_without_a_log_a_notice_tells(folder):
    assert find_tiles(folder).notices == (
        f"folders left out: 2 that cannot be listed (the first, {folder / 'b'}: {DENIED})",
    )


@pytest.mark.parametrize("assets", [(), ("visual",)])
def test_where_there_is_nothing_else_the_reason_is_told(folder, assets):
    inner = folder / "b"
    with pytest.raises(NoUsableTiles, match=r"no tiles; folders left out: 1 that cannot be listed"):
        find_tiles(inner, scenes=SceneChoices(None, assets), context=RunContext())


def test_a_folder_in_which_nothing_may_be_looked_at_is_no_crash(tmp_path, monkeypatch):
    (tmp_path / "unnamed").write_bytes(b"II*\0")
    save_picture(tmp_path / "x.png", noise((3, 9, 9)))
    real = os.stat

    def denying(path, *given, **named):
        if str(path).endswith("unnamed"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return real(path, *given, **named)

    monkeypatch.setattr(os, "stat", denying)
    assert [tile.id for tile in find_tiles(tmp_path)] == ["x.png"]


SIDECARS = [
    *("a.tif.ovr", "a.tif.msk", "a.tif.msk.ovr", "a.OVR", "b.MSK", "a.tif.aux.xml", "a.aux"),
    *("a.rrd", "a.tfw", "a.wld", "a.hdr", "gone.tif.ovr"),
]


@pytest.mark.parametrize("name", SIDECARS)
def test_sidecars_are_no_tiles_whatever_they_hold(tmp_path, name):
    path = save_raster(tmp_path / "sea" / "a.tif", noise((1, 16, 16)))
    (tmp_path / "sea" / name).write_bytes(path.read_bytes())  # overviews and masks are TIFFs
    tiles = find_tiles(tmp_path)
    assert [tile.id for tile in tiles] == ["sea/a.tif"]
    assert tiles.notices == ()


def test_what_gdal_reads_and_a_folder_does_not_count_is_told_by_suffix(tmp_path):
    save_raster(tmp_path / "a.tif", noise((1, 16, 16)))
    save_raster(tmp_path / "b" / "x.ppm", noise((3, 16, 16)), "PNM")
    save_raster(tmp_path / "b" / "y.PPM", noise((3, 16, 16)), "PNM")
    save_raster(tmp_path / "envi.dat", noise((1, 16, 16)), "ENVI")
    save_raster(tmp_path / "noname", noise((1, 16, 16)), "RMF")
    for name in ("sst.nc", "s.h5", "z.avif"):
        (tmp_path / name).write_bytes(b"any content")
    (tmp_path / "cube.zarr" / "0").mkdir(parents=True)
    save_raster(tmp_path / "cube.zarr" / "0" / "0.tif", noise((1, 16, 16)))
    for name in ("notes.txt", "b/table.csv", "table.parquet"):
        (tmp_path / name).write_text("P5 text")
    tiles = find_tiles(tmp_path)
    assert [tile.id for tile in tiles] == ["a.tif"]
    counts = ".avif (1), .dat (1), .h5 (1), .nc (1), .ppm (2), .zarr (1), without a suffix (1)"
    assert any(counts in notice for notice in tiles.notices), tiles.notices


def test_a_folder_of_such_files_only_says_so(tmp_path):
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "a.nc").write_bytes(b"CDF\1")
    with pytest.raises(TilesNotFound, match=r"no tiles in it; .*\.nc \(1\)"):
        find_tiles(tmp_path / "t")


SYSTEM = ["@eaDir", "$RECYCLE.BIN", "lost+found", "__MACOSX", "System Volume Information"]


@pytest.mark.parametrize("name", [*SYSTEM, "$Recycle.Bin", "#recycle", "@Recently-Snapshot"])
def test_system_folders_are_no_classes(tmp_path, name):
    for folder in ("sea", name, f"sea/{name}/a.jpg"):
        save_picture(tmp_path / folder / "x.png", noise((3, 9, 9)))
    tiles = find_tiles(tmp_path)
    assert [(tile.id, tile.label) for tile in tiles] == [("sea/x.png", "sea")]
    assert f"system folders left out: 2 ('{min(name, f'sea/{name}')}'" in tiles.notices[0]


def a_model(folder):
    save_picture(folder / "training.png", noise((3, 9, 9)))
    keys = ("architecture", "preprocessing", "class_names", "recipe", "training", "versions")
    (folder / "model.json").write_text(json.dumps({key: {} for key in (*keys, "weights_sha256")}))
    (folder / "model.safetensors").touch()


def an_index(folder):
    a_model(folder / "model")
    keys = ("model", "model_fingerprint", "faiss_key", "metric", "tiles", "dimensions")
    (folder / "manifest.json").write_text(json.dumps({key: {} for key in (*keys, "sha256")}))
    (folder / "index.faiss").touch()


@pytest.mark.parametrize("make", [a_model, an_index])
def test_models_and_indexes_below_a_folder_hold_no_tiles(tmp_path, make):
    for name in ("sea/1.png", "land/1.png", "mixed/2.png"):
        save_picture(tmp_path / name, noise((3, 9, 9)))
    for place in ("models/mine", "models/deep/other", "sea/old", "mixed/m"):
        make(tmp_path / place)
    (tmp_path / "empty").mkdir()
    tiles = find_tiles(tmp_path)
    assert [tile.id for tile in tiles] == ["land/1.png", "mixed/2.png", "sea/1.png"]
    assert [text for text in tiles.notices if "index and model folders left out: 4" in text]
    (empty,) = [text for text in tiles.notices if "without a tile" in text]
    assert "1 ('empty')" in empty


def test_a_folder_with_a_file_of_such_a_name_only_holds_tiles(tmp_path):
    for name, marker in (("sea", "model.json"), ("land", "manifest.json")):
        save_picture(tmp_path / name / "1.png", noise((3, 9, 9)))
        (tmp_path / name / marker).write_text("{}")
    tiles = find_tiles(tmp_path)
    assert (len(tiles), tiles.notices) == (2, ())


def test_a_model_folder_that_is_named_itself_is_read(tmp_path):
    a_model(tmp_path)
    assert [tile.id for tile in find_tiles(tmp_path)] == ["training.png"]


def test_a_link_does_not_take_the_name_of_the_folder_it_leads_to(tmp_path):
    for name in ("sea/1.png", "sea/deep/2.png"):
        save_picture(tmp_path / "t" / name, noise((3, 9, 9)))
    (tmp_path / "t" / "a").symlink_to("sea")
    (tmp_path / "t" / "b").symlink_to("sea/deep")
    (tmp_path / "t" / "sea" / "loop").symlink_to("..")
    tiles = find_tiles(tmp_path / "t")
    assert [tile.id for tile in tiles] == ["sea/1.png", "sea/deep/2.png"]
    assert "links to folders that are already read" in tiles.notices[0]
    assert "3 ('a', 'b', 'sea/loop')" in tiles.notices[0]


def test_links_to_other_folders_are_followed_once(tmp_path):
    save_picture(tmp_path / "store" / "deep" / "1.png", noise((3, 9, 9)))
    (tmp_path / "t").mkdir()
    for name in ("a", "b"):
        (tmp_path / "t" / name).symlink_to("../store")
    tiles = find_tiles(tmp_path / "t")
    assert [tile.id for tile in tiles] == ["a/deep/1.png"]
    assert any("1 ('b')" in notice for notice in tiles.notices)


def test_links_to_files_that_are_tiles_already_are_told(tmp_path):
    save_picture(tmp_path / "store" / "9.png", noise((3, 9, 9)))
    for name in ("sea/1.png", "sea/2.png"):
        save_picture(tmp_path / "t" / name, noise((3, 9, 9)))
    (tmp_path / "t" / "river").mkdir()
    for name, target in (("1", "../sea/1.png"), ("8", "../../store/9.png"), ("9", "8.png")):
        (tmp_path / "t" / "river" / f"{name}.png").symlink_to(target)
    tiles = find_tiles(tmp_path / "t")
    assert len(tiles) == 5
    (notice,) = tiles.notices
    assert "2 ('river/1.png', 'river/9.png')" in notice


def test_links_to_a_store_elsewhere_are_ordinary_tiles(tmp_path):
    for name in ("8", "9"):
        save_picture(tmp_path / "store" / f"{name}.png", noise((3, 9, 9)))
        (tmp_path / "t").mkdir(exist_ok=True)
        (tmp_path / "t" / f"{name}.png").symlink_to(f"../store/{name}.png")
    assert find_tiles(tmp_path / "t").notices == ()
