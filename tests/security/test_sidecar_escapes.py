"""A stranger's georeference: it is read beside its tile, and leads nowhere else."""

from __future__ import annotations

import os
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import rasterio

from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.discovery.tile_list import write_list
from rsretrieve.data.failures import Failure
from rsretrieve.data.geo.place import Place
from rsretrieve.data.loading.batches import stream_batches
from rsretrieve.data.preprocessing.preprocessing import BandStatistics, Preprocessing
from rsretrieve.data.reading.read_tiles import read_in_order
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.window import Window
from tests.support.processes.worker_functions import the_raw_tile
from tests.support.tiles.made_tiles import noise, save_picture, save_raster

SECRET = (
    "<PAMDataset><SRS>EPSG:32618</SRS>"
    "<GeoTransform> 500000, 10, 0, 4000000, 0, -10</GeoTransform></PAMDataset>"
)
ONES = (1.0,) * 3


def places(source: Path) -> tuple[list[Place | None], RunContext]:
    """What workers find: with the policy of the tiles."""
    context = RunContext()
    preprocessing = Preprocessing(16, 3, (1, 2, 3), "uint8", BandStatistics(ONES, ONES, ONES, ONES))
    batches = stream_batches(find_tiles(source), preprocessing, 8, context)
    return [place for batch in batches for place in batch.places], context


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "private.aux.xml").write_text(SECRET)
    (tmp_path / "home" / "private.wld").write_text("10\n0\n0\n-10\n500005\n3999995\n")
    return save_picture(tmp_path / "t" / "a.png", noise((3, 64, 64)))


@pytest.mark.parametrize("typed", ["folder", "list"])
@pytest.mark.parametrize(("sidecar", "target"), [("a.png.aux.xml", "aux.xml"), ("a.pgw", "wld")])
@pytest.mark.medium
def test_a_link_to_a_private_georeference(
    picture: Path, tmp_path: Path, typed: str, sidecar: str, target: str
) -> None:
    (picture.parent / sidecar).symlink_to(tmp_path / "home" / f"private.{target}")
    if sidecar == "a.pgw":  # without a reference system, nothing would be computed in any case
        (picture.parent / "a.png.aux.xml").write_text(
            "<PAMDataset><SRS>EPSG:32618</SRS></PAMDataset>"
        )
    source = {"folder": picture.parent, "list": tmp_path / "list.csv"}[typed]
    if typed == "list":
        write_list(source, find_tiles(picture.parent), overwrite=False)
    found, context = places(source)
    assert found == [None]
    assert len(context.notices) == 1
    assert context.failures == []


@pytest.mark.medium
def test_a_pipe_or_a_huge_file_beside_a_picture_costs_only_its_place(picture: Path) -> None:
    save_picture(picture.parent / "b.png", noise((3, 64, 64)))
    os.mkfifo(picture.parent / "a.wld")
    (picture.parent / "a.png.aux.xml").write_text(SECRET)
    with (picture.parent / "b.png.aux.xml").open("wb") as stream:
        stream.truncate(1 << 33)
    found, context = places(picture.parent)
    assert found == [None, None]
    assert [text[:7] for text in context.notices] == ["2 tiles"]
    assert context.failures == []


@pytest.mark.medium
def test_a_georeference_in_the_own_folder_is_read(picture: Path) -> None:
    (picture.parent / "a.png.aux.xml").write_text(SECRET)
    [place], context = places(picture.parent)
    assert place is not None
    assert place.crs == "EPSG:32618"
    assert context.notices == ()


KEYS = ("OVERVIEW_FILE", "overview_file", "Overview_File")
DOMAINS = ("OVERVIEWS", "overviews", "Overviews")


@pytest.mark.medium
@pytest.mark.parametrize("where", ["aux.xml", "TIFF", "mask", "PNG"])
def test_overviews_that_a_file_names_in_any_spelling_are_refused(
    tmp_path: Path, where: str
) -> None:
    other = save_raster(tmp_path / "home" / "private.tif", np.full((1, 256, 256), 250, np.uint8))
    for number, (key, domain) in enumerate(product(KEYS, DOMAINS)):
        _name_overviews(tmp_path / "t" / str(number), where, key, domain, other)
    whole = find_tiles(tmp_path / "t")
    windows = [replace(tile, window=Window(0, 0, 1024, 1024, 64)) for tile in whole]
    reads = list(read_in_order(replace(whole, tiles=tuple(windows)), the_raw_tile, 1))
    assert len(reads) == len(KEYS) * len(DOMAINS)
    for read in reads:
        assert isinstance(read, Failure), read.tile.id
        assert "OVERVIEW_FILE" in read.reason


def _name_overviews(folder: Path, where: str, key: str, domain: str, other: Path) -> None:
    """Write a tile which names another file as its overviews: in itself or in a file beside it."""
    tile = folder / ("a.png" if where == "PNG" else "a.tif")
    shape = (3 if where == "PNG" else 1, 1024, 1024)
    save_raster(tile, np.full(shape, 100, np.uint8), "PNG" if where == "PNG" else "GTiff")
    if where in ("aux.xml", "PNG"):
        named = f'<Metadata domain="{domain}"><MDI key="{key}">{other}</MDI></Metadata>'
        tile.with_name(f"{tile.name}.aux.xml").write_text(f"<PAMDataset>{named}</PAMDataset>")
        return
    holder = tile if where == "TIFF" else tile.with_name("a.tif.msk")
    if where == "mask":
        save_raster(holder, np.full(shape, 255, np.uint8))
    with rasterio.open(holder, "r+") as dataset:
        dataset.update_tags(ns=domain, **{key: str(other)})
        dataset.update_tags(INTERNAL_MASK_FLAGS_1="2")
