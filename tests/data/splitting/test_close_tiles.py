"""Which tiles overlap or are close, against pyproj's geodesics and Shapely, pair by pair."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import rasterio
import shapely
from pyproj import Geod, Transformer

from rsretrieve._core.paths import stack_path
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.splitting.close_tiles import CloseTiles, files_of, overlapping_windows
from rsretrieve.data.splitting.header_places import NOWHERE, locate
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.data.window import Window
from tests.support.tiles.made_tiles import noise, save_raster, tiles_at

GEOD = Geod(ellps="WGS84")
SIDE = 16


def raster_at(path, crs, left, top, pixel, side=SIDE):
    transform = rasterio.Affine(pixel, 0, left, 0, -pixel, top)
    return save_raster(path, noise((1, side, side)), crs=crs, transform=transform)


def around(path, crs, lon, lat, pixel_m, side=SIDE):
    """A raster whose upper left corner lies at a point."""
    x, y = Transformer.from_crs("OGC:CRS84", crs, always_xy=True).transform(lon, lat)
    return raster_at(path, crs, x, y, pixel_m, side)


def pairs_of(tiles, buffer_m=0.0, groups=None):
    """The pairs of close tiles, as sets of two rows, with what they share."""
    context = RunContext()
    close = CloseTiles(tiles.tiles, locate(tiles, context), buffer_m)
    groups = np.arange(len(tiles)) if groups is None else groups
    found = {}
    for pairs in close.between(groups):
        for one, other, share in zip(*(each.tolist() for each in pairs)):
            assert (one, other) not in found
            found[one, other] = share
    joined = close.joined(np.arange(len(tiles)))
    assert context.failures == []
    assert all(joined[one] == joined[other] for one, other in found)
    return found


def outline(tile, points=40):
    """The border of a raster in longitude and latitude, (2, N), from its corners by pyproj."""
    with rasterio.open(tile.path) as dataset:
        window = tile.window or Window(0, 0, dataset.width, dataset.height)
        along = np.linspace(0, 1, points, endpoint=False)
        cols = window.col + window.width * np.concatenate(
            (along, np.ones(points), 1 - along, np.zeros(points))
        )
        rows = window.row + window.height * np.concatenate(
            (np.zeros(points), along, np.ones(points), 1 - along)
        )
        x, y = dataset.transform * (cols, rows)
        crs = dataset.crs.to_wkt()
    return np.array(Transformer.from_crs(crs, "OGC:CRS84", always_xy=True).transform(x, y))


def geodesic_m(one, other):
    """The shortest geodesic between points of two borders."""
    pairs = np.meshgrid(one[0], other[0]), np.meshgrid(one[1], other[1])
    (lon1, lon2), (lat1, lat2) = pairs
    flat = (each.ravel() for each in (lon1, lat1, lon2, lat2))
    return float(np.min(GEOD.inv(*flat)[2]))


@pytest.mark.parametrize(
    ("lon", "lat", "crs"),
    [
        (10.0, 0.5, "EPSG:32632"),
        (15.0, 78.0, "EPSG:32633"),
        (179.9999, -17.0, "EPSG:3832"),
        (-60.0, 85.0, "EPSG:3413"),
        (30.0, -89.995, "EPSG:3031"),
    ],
)
@pytest.mark.medium
def test_distances_are_metres_on_the_ground_everywhere(tmp_path, lon, lat, crs):
    rng = np.random.default_rng(1)
    to_map = Transformer.from_crs("OGC:CRS84", crs, always_xy=True)
    x, y = to_map.transform(lon, lat)
    shifts = rng.uniform(-3000, 3000, (12, 2))
    tiles = tiles_at(
        *(
            raster_at(tmp_path / f"{i}.tif", crs, x + east, y + north, 20)
            for i, (east, north) in enumerate(shifts)
        )
    )
    outlines = [outline(tile) for tile in tiles]
    away = {pair: geodesic_m(*(outlines[i] for i in pair)) for pair in combinations(range(12), 2)}
    # Borders are sampled every 8 m: pairs so close to the buffer are not judged.
    for buffer_m in (200.0, 1000.0):
        overlapping = pairs_of(tiles)
        found = pairs_of(tiles, buffer_m)
        for pair, metres in away.items():
            if abs(metres - buffer_m) > 10:
                assert (pair in found) == (metres < buffer_m or pair in overlapping), metres
        assert 0 < len(found) < len(away)


@pytest.mark.parametrize("lat", [0.2, 60.0, 84.0])
@pytest.mark.medium
def test_overlaps_are_those_of_the_map_and_touching_is_none(tmp_path, lat):
    crs = "EPSG:32633" if lat > 50 else "EPSG:32632"
    x, y = Transformer.from_crs("OGC:CRS84", crs, always_xy=True).transform(10.0, lat)
    rng = np.random.default_rng(2)
    corners = [(x, y), (x + 160, y), (x, y - 160), *rng.uniform(-300, 300, (10, 2)) + (x, y)]
    corners = np.round(np.array(corners) / 10) * 10
    tiles = tiles_at(
        *(raster_at(tmp_path / f"{i}.tif", crs, a, b, 10) for i, (a, b) in enumerate(corners))
    )
    found = pairs_of(tiles)
    boxes = [shapely.box(a, b - 160, a + 160, b) for a, b in corners]
    for one, other in combinations(range(len(boxes)), 2):
        share = boxes[one].intersection(boxes[other]).area / 160**2
        assert found.get((one, other), 0) == pytest.approx(share, abs=2e-3)
    assert (0, 1) not in found


@pytest.mark.medium
def test_rasters_in_two_reference_systems_and_across_the_antimeridian(tmp_path):
    tiles = tiles_at(
        around(tmp_path / "utm60.tif", "EPSG:32760", 179.999, -17.0, 20, 32),
        around(tmp_path / "utm1.tif", "EPSG:32701", -179.998, -17.001, 20, 32),
        around(tmp_path / "mercator.tif", "EPSG:3832", 179.9995, -17.0, 20, 32),
        around(tmp_path / "away.tif", "EPSG:32701", -179.97, -17.0, 20, 32),
    )
    assert set(pairs_of(tiles)) == {(0, 1), (0, 2), (1, 2)}
    metres = geodesic_m(outline(tiles[1]), outline(tiles[3]))
    assert (1, 3) in pairs_of(tiles, metres + 20)
    assert (1, 3) not in pairs_of(tiles, metres - 20)


@pytest.mark.medium
def test_a_raster_around_the_pole_and_one_around_the_earth(tmp_path):
    tiles = tiles_at(
        raster_at(tmp_path / "pole.tif", "EPSG:3031", -80_000, 80_000, 10_000),
        around(tmp_path / "inside.tif", "EPSG:3031", 100.0, -89.7, 100),
        around(tmp_path / "outside.tif", "EPSG:3031", 100.0, -88.0, 100),
        save_raster(
            tmp_path / "earth.tif",
            noise((1, 18, 36)),
            crs="EPSG:4326",
            transform=rasterio.Affine(10, 0, -180, 0, -10, 90),
        ),
    )
    found = pairs_of(tiles)
    assert set(found) == {(0, 1), (0, 3), (1, 3), (2, 3)}
    assert found[0, 1] == pytest.approx(1, abs=1e-3)
    assert found[2, 3] == pytest.approx(1, abs=1e-3)


def test_windows_of_one_file_are_compared_by_their_pixels_without_a_place():
    rng = np.random.default_rng(3)
    windows = [
        Window(*map(int, rng.integers(0, 60, 2)), *map(int, rng.integers(8, 30, 2)))
        for _ in range(40)
    ]
    paths = ["a.tif", "/somewhere/../b.tif"]
    tiles = [Tile(f"{i}", paths[i % 2], None, window) for i, window in enumerate(windows)]
    tiles.append(Tile("whole", "/b.tif"))
    close = CloseTiles(tiles, [NOWHERE] * len(tiles))
    found = {
        pair[:2]: pair[2]
        for pairs in close.between(np.arange(len(tiles)))
        for pair in zip(*(each.tolist() for each in pairs))
    }
    for one, other in combinations(range(40), 2):
        a, b = windows[one], windows[other]
        pixels = {
            (col, row)
            for col in range(a.col, a.col + a.width)
            for row in range(a.row, a.row + a.height)
        } & {
            (col, row)
            for col in range(b.col, b.col + b.width)
            for row in range(b.row, b.row + b.height)
        }
        expected = len(pixels) / min(a.width * a.height, b.width * b.height)
        same_file = one % 2 == other % 2
        assert found.get((one, other), 0) == pytest.approx(expected if same_file else 0)
    assert {one for one, other in found if other == 40} == set(range(1, 40, 2))


@pytest.mark.medium
def linked(folder, path):
    """One scene by its path, through a link to its folder, and by a link of its own."""
    raster_at(folder / path, "EPSG:32632", 500_000, 5_000_000, 10)
    (folder / "link").symlink_to((folder / path).parent, target_is_directory=True)
    (folder / "link.tif").symlink_to(folder / path)
    name = (folder / path).name
    return [str(folder / path), str(folder / "link" / name), str(folder / "link.tif")]


@pytest.mark.parametrize("stacked", [False, True])
def test_windows_of_one_file_overlap_through_links_and_in_stacks(tmp_path, stacked):
    paths = linked(tmp_path, "real/s.tif")
    if stacked:
        paths = [stack_path([path, path]) for path in paths]
    lists = [
        [
            Tile(f"{i}", path, window=Window(i, i, 8, 8)),
            Tile(f"far {i}", path, window=Window(90 + 9 * i, 0, 8, 8)),
        ]
        for i, path in enumerate(paths)
    ]
    assert overlapping_windows(lists) == [1, 1, 1]
    assert len({*files_of([tile for tiles in lists for tile in tiles])}) == 1


def test_a_path_that_no_system_takes_is_a_file_of_its_own():
    odd = Tile("odd", "a\0b.tif", window=Window(0, 0, 8, 8))
    other = Tile("other", "ab.tif", window=Window(0, 0, 8, 8))
    assert len({*files_of([odd, other])}) == 2
    assert overlapping_windows([[odd], [odd], [other]]) == [1, 1, 0]


def test_only_pairs_of_two_groups_are_given_and_some_tiles_are_left_aside(tmp_path):
    paths = [raster_at(tmp_path / f"{i}.tif", "EPSG:32632", 500_000 + i, 0, 10) for i in range(4)]
    tiles = tiles_at(*paths)
    assert set(pairs_of(tiles, groups=np.array([0, 0, 1, -1]))) == {(0, 2), (1, 2)}


def test_a_file_that_cannot_be_opened_is_a_failure_and_a_plain_image_has_no_place(tmp_path):
    (tmp_path / "broken.tif").write_bytes(b"II*\0 no tiff")
    (tmp_path / "plain.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    context = RunContext()
    paths = [tmp_path / "broken.tif", tmp_path / "plain.jpg", tmp_path / "missing.tif"]
    placed = raster_at(tmp_path / "a.tif", "EPSG:32632", 500_000, 0, 10)
    found = locate(TileSet("files", tiles_at(*paths, placed).tiles), context)
    assert [one is None for one in found] == [True, False, True, False]
    assert found[1].place is None
    assert found[3].place is not None
    assert found[3].pixels == SIDE**2
    assert [bad.tile_id for bad in context.failures] == ["broken.tif", "missing.tif"]
