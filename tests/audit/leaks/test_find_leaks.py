"""Leaks between lists: overlaps by hand, near-duplicates that were made, all others apart."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import rasterio
from PIL import Image, ImageFilter

from rsretrieve.audit.leaks.find_leaks import LeakKind, find_leaks
from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.splitting.close_tiles import overlapping_windows
from rsretrieve.data.windowing import SceneChoices, WindowChoices
from rsretrieve.errors import TileError
from tests.support.tiles.made_tiles import save_picture, save_raster, tiles_at

SIDE = 96


def texture(seed):
    """A smooth random picture, (H, W) uint8."""
    noise = np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE), np.uint8)
    smooth = np.asarray(Image.fromarray(noise).filter(ImageFilter.GaussianBlur(3)), float)
    low, high = smooth.min(), smooth.max()
    return ((smooth - low) * 254 / (high - low) + 1).astype(np.uint8)


def pictures(folder, *seeds, suffix=".png", **options):
    return [save_picture(folder / f"{s}{suffix}", texture(s), **options) for s in seeds]


def rows(found):
    return [(leak.list, leak.tile, leak.other_list, leak.other, leak.kind) for leak in found]


@pytest.mark.medium
def test_re_compressed_pictures_are_near_duplicates_and_others_are_not(tmp_path):
    train = tiles_at(*pictures(tmp_path / "train", *range(12)))
    again = pictures(tmp_path / "test", 3, 7, suffix=".jpg", quality=60)
    test = tiles_at(*again, *pictures(tmp_path / "test", *range(20, 28)))
    found = find_leaks({"train": train, "test": test}, RunContext())
    kind = LeakKind.NEAR_DUPLICATE
    assert sorted(rows(found)) == [
        ("test", "3.jpg", "train", "3.png", kind),
        ("test", "7.jpg", "train", "7.png", kind),
    ]
    assert all(0.75 <= leak.similarity <= 1 and leak.overlap is None for leak in found)
    (counted,) = found.of_lists()
    assert (counted.tiles, counted.near_duplicates, counted.overlaps) == (10, 2, 0)


@pytest.mark.medium
def test_one_file_in_two_lists_shares_all_of_it(tmp_path):
    files = pictures(tmp_path, 1, 2, 3)
    found = find_leaks({"a": tiles_at(*files[:2]), "b": tiles_at(*files[1:])}, RunContext())
    (leak,) = found
    assert (leak.tile, leak.other, leak.kind, leak.overlap) == ("2.png", "2.png", "overlap", 1)
    assert (leak.list, leak.other_list) == ("b", "a")


def test_windows_that_overlap_are_found_with_the_share_of_pixels(tmp_path):
    path = save_raster(tmp_path / "a.tif", texture(0)[None])
    tiles = find_tiles(path, None, SceneChoices(WindowChoices(32, 16)), RunContext())
    lists = {"train": tiles.select(range(0, len(tiles), 2)), "test": tiles.select([1, 3, 11])}
    found = find_leaks(lists, RunContext())
    expected = {}
    for one, other in product(lists["train"], lists["test"]):
        a, b = one.window, other.window
        across = min(a.col, b.col) + 32 - max(a.col, b.col)
        down = min(a.row, b.row) + 32 - max(a.row, b.row)
        if across > 0 and down > 0:
            expected[other.id, one.id] = across * down / 32**2
    overlaps = {(leak.tile, leak.other): leak.overlap for leak in found if leak.kind == "overlap"}
    assert overlaps == pytest.approx(expected)
    assert found.count(LeakKind.OVERLAP) == len(expected)
    touched = {other for _, other in expected}
    assert overlapping_windows([part.tiles for part in lists.values()]) == [len(touched), 3]
    assert [leak.overlap for leak in found if leak.overlap] == sorted(expected.values())[::-1]


@pytest.mark.medium
def test_two_files_overlap_on_the_ground(tmp_path):
    paths = []
    for number, left in enumerate((500_000, 500_480, 510_000)):
        transform = rasterio.Affine(10, 0, left, 0, -10, 4_000_000)
        content = texture(number)[None]
        paths.append(
            save_raster(tmp_path / f"{number}.tif", content, crs="EPSG:32633", transform=transform)
        )
    found = find_leaks({"a": tiles_at(paths[0]), "b": tiles_at(*paths[1:])}, RunContext())
    (leak,) = found
    assert (leak.tile, leak.other) == ("1.tif", "0.tif")
    assert leak.overlap == pytest.approx(0.5, abs=1e-3)


@pytest.mark.medium
def test_the_last_list_alone_may_be_compared(tmp_path):
    a, b, c = (pictures(tmp_path / name, 1, 2, 3) for name in "abc")
    lists = {"a": tiles_at(*a), "b": tiles_at(*b), "c": tiles_at(*c[:1])}
    found = find_leaks(lists, RunContext(), last_only=True)
    assert {(leak.list, leak.other_list) for leak in found} == {("c", "a"), ("c", "b")}
    assert len(find_leaks(lists, RunContext())) == 5


def test_tiles_that_cannot_be_read_are_failures(tmp_path):
    sound = pictures(tmp_path, 1, 2)
    broken = tmp_path / "broken.png"
    broken.write_bytes(sound[0].read_bytes()[:200])
    context = RunContext()
    lists = {"a": tiles_at(*sound), "b": tiles_at(broken)}
    assert len(find_leaks(lists, context)) == 0
    assert [bad.tile_id for bad in context.failures] == ["broken.png"]
    with pytest.raises(TileError):
        find_leaks(lists, RunContext(strict=True))
