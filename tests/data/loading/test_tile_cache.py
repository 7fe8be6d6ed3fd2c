"""Tiles kept on disk: found again whole or read anew, within a limit, whoever else writes."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rsretrieve.data.loading import cache_pack, read_through, tile_cache
from rsretrieve.data.loading.cache_folder import CacheFolder
from rsretrieve.data.loading.read_through import read_preprocessed
from rsretrieve.data.loading.tile_cache import key_of
from rsretrieve.data.notes import Note
from rsretrieve.data.reading.chunk_reader import Read
from rsretrieve.data.tile import Tile
from rsretrieve.data.windowing import WindowChoices
from rsretrieve.errors import InvalidArgument
from tests.support.tiles.made_tiles import (
    UTM,
    noise,
    preprocessing,
    save_picture,
    save_raster,
    tiles_at,
)

COUNT = 12


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty cache for which twelve tiles are enough, and may be of this very moment."""
    monkeypatch.setenv("RSRETRIEVE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("RSRETRIEVE_CACHE_SIZE", "1MB")
    monkeypatch.setattr(tile_cache, "FEWEST_TILES", COUNT)
    monkeypatch.setattr(tile_cache, "SETTLED_NS", 0)
    return CacheFolder.of_environment()


@pytest.fixture
def tiles(tmp_path):
    """Ten pictures, a georeferenced raster, and one that is not there."""
    pictures = [save_picture(tmp_path / f"{i}.png", noise((3, 9, 12), seed=i)) for i in range(10)]
    located = save_raster(tmp_path / "located.tif", noise((3, 8, 8)), **UTM)
    return tiles_at(*pictures, located, tmp_path / "gone.png")


@pytest.fixture
def decoded(monkeypatch):
    """The names of the tiles that are read from their files."""
    names = []
    as_before = read_through.read_in_order

    def noted(tiles, make, workers=None, **choices):
        names.extend(Path(tile.path).name for tile in tiles)
        return as_before(tiles, make, 1, **choices)

    monkeypatch.setattr(read_through, "read_in_order", noted)
    return names


def read(tiles, settings=None):
    return list(read_preprocessed(tiles, settings or preprocessing()))


def same(ones, others):
    assert [type(one) for one in ones] == [type(other) for other in others]
    for one, other in zip(ones, others):
        assert one.tile == other.tile
        if isinstance(one, Read):
            assert np.array_equal(one.content[0], other.content[0])
            assert one.content[0].dtype == other.content[0].dtype
            assert one.content[1] == other.content[1]
            assert one.notes == other.notes
        else:
            assert one.reason == other.reason


@pytest.mark.usefixtures("folder")
def test_what_was_decoded_once_is_found_again_the_same(tiles, decoded):
    first = read(tiles)
    assert len(decoded) == COUNT
    decoded.clear()
    again = read(tiles)
    assert decoded == ["gone.png"]  # a failure is no copy: it is tried again
    same(first, again)
    assert again[10].content[1].bounds == (500_000, 3_999_920, 500_080, 4_000_000)


@pytest.mark.usefixtures("folder")
def test_what_was_said_about_a_tile_is_said_again(tiles, decoded, tmp_path):
    (tmp_path / "0.pgw").write_text("10\n0\n0\n-10\n500005\n3999995\n")
    read(tiles)
    decoded.clear()
    again = read(tiles)
    assert decoded == ["gone.png"]
    assert [read.notes for read in again[:2]] == [(Note.NO_CRS,), ()]


@pytest.mark.medium
@pytest.mark.usefixtures("folder")
def test_a_changed_file_is_read_anew_and_only_that(tiles, decoded, tmp_path):
    read(tiles)
    decoded.clear()
    status = (tmp_path / "3.png").stat()
    save_picture(tmp_path / "3.png", noise((3, 9, 12), seed=99))
    os.utime(tmp_path / "3.png", ns=(status.st_atime_ns, status.st_mtime_ns))  # as if it were not
    again = read(tiles)
    assert decoded == ["3.png", "gone.png"]
    wanted = preprocessing()
    expected = wanted.apply("", cached_raw(tmp_path / "3.png"))
    assert np.array_equal(again[3].content[0], expected)


def cached_raw(path):
    from rsretrieve.data.reading.pillow_reader import read_raw

    return read_raw(Tile("", str(path)))


@pytest.mark.usefixtures("folder")
def test_other_settings_find_nothing(tiles, decoded):
    read(tiles)
    other = replace(preprocessing(), size_px=preprocessing().size_px + 1)
    for settings, set_of_tiles in (
        (other, tiles),
        (preprocessing(), replace(tiles, windows=WindowChoices(8))),
    ):
        decoded.clear()
        read(set_of_tiles, settings)
        assert len(decoded) == COUNT


@pytest.mark.medium
@pytest.mark.parametrize("at", [0, 9, 30, -1], ids=["magic", "count", "table", "pixels"])
def test_a_damaged_file_is_noticed_and_replaced(folder, tiles, decoded, at):
    first = read(tiles)
    [(_, _, path)] = folder.files()
    content = bytearray(path.read_bytes())
    content[at] ^= 0x55
    path.write_bytes(content)
    same(first, read(tiles))
    assert not path.exists()
    decoded.clear()
    read(tiles)  # the tiles that the broken file held are kept anew
    same(first, read(tiles))
    assert decoded.count("gone.png") == 2


@pytest.mark.medium
@pytest.mark.parametrize("length", [0, 10, 100, 2000])
def test_a_file_that_was_cut_short_is_noticed(folder, tiles, length):
    first = read(tiles)
    [(_, size, path)] = folder.files()
    os.truncate(path, min(length, size - 1))
    same(first, read(tiles))


@pytest.mark.medium
def test_a_file_that_vanishes_while_it_is_used_costs_nothing_but_time(folder, tiles):
    first = read(tiles)
    reads = read_preprocessed(tiles, preprocessing())
    started = [next(reads)]
    folder.clear()
    same(first, started + list(reads))


@pytest.mark.medium
def test_the_least_lately_used_goes_when_there_is_no_room(folder, tiles, monkeypatch):
    sizes = [8, 9, 10]
    settings = [replace(preprocessing(), size_px=size) for size in sizes]
    for wanted in settings[:2]:
        read(tiles, wanted)
    held = sum(size for _, size, _ in folder.files())
    for age, (_, _, path) in enumerate(folder.files()):
        os.utime(path, ns=(0, age))
    read(tiles, settings[0])  # used: the other one is the oldest now
    monkeypatch.setenv("RSRETRIEVE_CACHE_SIZE", str(held + 1000))
    used = folder.files()[-1][2]
    read(tiles, settings[2])
    files = CacheFolder.of_environment().files()
    assert len(files) == 2
    assert used in [path for _, _, path in files]
    assert sum(size for _, size, _ in files) <= held + 1000


def test_within_one_preprocessing_the_least_lately_used_file_goes_first(folder, tiles, monkeypatch):
    monkeypatch.setattr(tile_cache, "FEWEST_TILES", 1)
    for few in (tiles.select([0, 1]), tiles.select([2, 3])):
        read(few)
    files = [path for _, _, path in folder.files()]
    assert len(files) == 2
    for age, path in enumerate(files):
        os.utime(path, ns=(0, age))
    touched, utime = [], os.utime
    monkeypatch.setattr(os, "utime", lambda path: touched.append(path) or utime(path))
    read(tiles.select([0, 1]))
    assert touched == files[:1]
    assert [path for _, _, path in folder.files()] == files[::-1]


@pytest.mark.medium
@pytest.mark.usefixtures("folder")
def test_a_cache_that_may_only_be_read_is_used(tiles, decoded, monkeypatch):
    def forbidden(*_, **__):
        raise PermissionError("Read-only file system")

    first = read(tiles)
    decoded.clear()
    for name in ("utime", "unlink"):
        monkeypatch.setattr(os, name, forbidden)
    same(first, read(tiles))
    assert decoded == ["gone.png"]


@pytest.mark.parametrize("limit", ["0", "2kB"])
@pytest.mark.medium
def test_what_does_not_fit_in_whole_is_not_kept_at_all(folder, tiles, monkeypatch, limit):
    monkeypatch.setenv("RSRETRIEVE_CACHE_SIZE", limit)
    read(tiles)
    assert folder.files() == []


@pytest.mark.medium
def test_a_few_tiles_are_not_looked_for(folder, tiles):
    read(tiles.select(range(COUNT - 1)))
    assert folder.files() == []


@pytest.mark.medium
def test_a_file_that_may_still_change_unseen_is_not_kept(folder, tiles, monkeypatch):
    monkeypatch.setattr(tile_cache, "SETTLED_NS", 10**15)
    read(tiles)
    assert folder.files() == []


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", ["located.tif.aux.xml", "located.tfw", "located.hdr"])
def test_a_file_beside_a_raster_that_changes_makes_it_another(tiles, tmp_path, name):
    picture, raster = key_of(tiles[0]), key_of(tiles[10])
    (tmp_path / name).write_text("1")
    assert key_of(tiles[10]) not in (raster, None)
    assert key_of(tiles[0]) == picture


@pytest.mark.medium
def test_files_that_name_others_are_not_kept(folder, tiles, monkeypatch):
    monkeypatch.setenv("RSRETRIEVE_GDAL_DRIVERS", "VRT")
    read(tiles)
    assert folder.files() == []


def test_what_nobody_could_see_change_has_no_key(tmp_path):
    assert key_of(Tile("a", "https://example.org/a.tif")) is None
    assert key_of(Tile("a", str(tmp_path / "gone"))) is None


@pytest.mark.usefixtures("folder")
@pytest.mark.medium
def test_a_folder_that_cannot_be_written_costs_nothing_but_time(tiles, tmp_path):
    (tmp_path / "cache").write_text("a file")
    same(read(tiles), read(tiles))


@pytest.mark.medium
def test_an_interrupted_reading_keeps_what_it_has_read(folder, tiles, decoded):
    reads = read_preprocessed(tiles, preprocessing())
    for _ in range(4):
        next(reads)
    reads.close()
    decoded.clear()
    read(tiles)
    assert len(decoded) == COUNT - 4


@pytest.mark.medium
def test_clearing_removes_everything_and_what_a_killed_process_left(folder, tiles):
    read(tiles)
    [(_, _, path)] = folder.files()
    (path.parent / ".half.unfinished").write_bytes(b"half")
    folder.clear()
    assert list(folder.path.iterdir()) == []


@pytest.mark.medium
def test_what_a_killed_process_left_long_ago_goes_when_something_is_kept(folder, tiles):
    others = folder.path / "settings"
    others.mkdir(parents=True)
    for name, age_s in ((".old.unfinished", 4000), (".new.unfinished", 10)):
        (others / name).write_bytes(b"half")
        os.utime(others / name, (0, time.time() - age_s))
    read(tiles)
    assert [path.name for path in others.iterdir()] == [".new.unfinished"]


@pytest.mark.medium
def test_large_sets_are_kept_in_several_files(folder, tiles, decoded, monkeypatch):
    monkeypatch.setattr(tile_cache, "FILE_BYTES", 400)
    first = read(tiles)
    assert len(folder.files()) > 2
    decoded.clear()
    same(first, read(tiles))
    assert decoded == ["gone.png"]


def test_a_limit_that_is_no_size_is_refused(folder, monkeypatch):
    monkeypatch.setenv("RSRETRIEVE_CACHE_SIZE", "much")
    with pytest.raises(InvalidArgument, match=r"^RSRETRIEVE_CACHE_SIZE is 'much', which is not"):
        CacheFolder.of_environment()


def test_by_default_it_lies_in_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.delenv("RSRETRIEVE_CACHE_SIZE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert CacheFolder.of_environment() == CacheFolder(
        tmp_path / "rsretrieve" / "tiles", 2_000_000_000
    )


def homeless():
    raise RuntimeError("Could not determine home directory.")


def test_whoever_names_a_folder_needs_no_home(folder, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", homeless)
    assert CacheFolder.of_environment() == folder


@pytest.mark.medium
def test_without_a_home_nothing_is_kept(folder, tiles, decoded, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("RSRETRIEVE_CACHE")
    monkeypatch.setattr(Path, "home", homeless)
    nowhere = CacheFolder.of_environment()
    assert (nowhere.limit_bytes, nowhere.files()) == (0, [])
    same(read(tiles), read(tiles))
    assert len(decoded) == 2 * COUNT
    nowhere.clear()
    assert not folder.path.exists()


OTHER_PLACES = [
    {},
    {"crs": "EPSG:32618", "bounds": [1, 2, 3], "footprint": []},
    {"crs": "EPSG:32618", "bounds": [1, 2, 3, "4 m"], "footprint": []},
    {"crs": "EPSG:32618", "bounds": [1, 2, 3, 4], "footprint": 5},
    {"crs": "EPSG:32618", "bounds": [1, 2, 3, 4], "footprint": [[1, None]]},
]


@pytest.mark.medium
@pytest.mark.parametrize("place", OTHER_PLACES, ids=str)
def test_a_place_of_another_form_though_its_sum_is_right_is_read_anew(
    folder, tiles, monkeypatch, place
):
    with monkeypatch.context() as another_version:
        another_version.setattr(cache_pack, "asdict", lambda _: place)
        first = read(tiles)
    [(_, _, path)] = folder.files()
    same(first, read(tiles))
    assert not path.exists()
