"""Files of embeddings whose ids or bands name what nobody typed: nothing else is opened."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow
import pytest
import rasterio
from pyarrow import parquet

from rsretrieve.data.run_context import RunContext
from rsretrieve.errors import TableError
from rsretrieve.index.external.embeddings_file import read_embeddings
from tests.security.test_escapes import listening
from tests.support.tiles.attempts import plain

SECRET = 201


def scene(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {"count": 2, "height": 64, "width": 64, "dtype": "uint8", "crs": "EPSG:32632"}
    transform = rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000)
    with rasterio.open(path, "w", driver="GTiff", transform=transform, **profile) as dataset:
        dataset.write(np.full((2, 64, 64), SECRET, np.uint8))
    return path


@pytest.mark.medium
def test_ids_reach_no_scene_outside_of_the_folder(tmp_path: Path) -> None:
    private = scene(tmp_path / "private" / "a.tif")
    folder = tmp_path / "stranger"
    scene(folder / "own.tif")
    (folder / "link.tif").symlink_to(private)
    (folder / "linked").symlink_to(private.parent)
    with listening() as (url, asked):
        names = [
            *("../private/a.tif", str(private), "link.tif", "linked/a.tif", f"{url}/a.tif"),
            *(f"/vsicurl/{url}/a.tif", f"GTIFF_DIR:1:{private}", "a\0b.tif", ".", ""),
            *(f"/vsitar/{private}", f'stack:["{private}"]', "own.tif"),
        ]
        ids = [f"{name}#0,0,8,8" for name in names]
        ids += ["own.tif#0,0,0,0", f"own.tif#0,0,{'9' * 40},8"]
        columns = {"id": ids, "embedding": np.eye(len(ids)).tolist()}
        parquet.write_table(pyarrow.table(columns), folder / "e.parquet")
        content = read_embeddings(folder / "e.parquet", None, RunContext())
        assert asked == []
    placed = [row.id for row in content.rows if row.place is not None]
    assert placed == ["own.tif#0,0,8,8"]
    assert {row.path for row in content.rows} == {"", str(folder / "own.tif")}


def mosaic(path: Path, source: str) -> Path:
    """A VRT under the name of a TIFF, of two bands with a place, whose pixels lie elsewhere."""
    band = (
        '<VRTRasterBand dataType="Byte" band="{0}"><SimpleSource><SourceFilename>{1}'
        "</SourceFilename><SourceBand>{0}</SourceBand></SimpleSource></VRTRasterBand>"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        '<VRTDataset rasterXSize="64" rasterYSize="64"><SRS>EPSG:32632</SRS>'
        "<GeoTransform>500000, 10, 0, 5000000, 0, -10</GeoTransform>"
        f"{band.format(1, source)}{band.format(2, source)}</VRTDataset>"
    )
    return path


@pytest.mark.medium
def test_a_scene_beside_the_file_holds_its_pixels_or_is_not_opened(tmp_path: Path) -> None:
    private = scene(tmp_path / "private" / "a.tif")
    folder = tmp_path / "stranger"
    with listening() as (url, asked):
        mosaic(folder / "file.tif", str(private))
        mosaic(folder / "net.tif", f"/vsicurl/{url}/a.tif")
        ids = ["file.tif#0,0,8,8", "net.tif#0,0,8,8"]
        columns = {"id": ids, "embedding": np.eye(2).tolist()}
        parquet.write_table(pyarrow.table(columns), folder / "e.parquet")
        context = RunContext()
        content = read_embeddings(folder / "e.parquet", None, context)
        assert asked == []
    assert [row.place for row in content.rows] == [None, None]
    assert any("their scene cannot be read" in text for text in context.notices)


@pytest.mark.medium
def test_a_raster_of_embeddings_holds_its_pixels_or_is_refused(tmp_path: Path) -> None:
    private = scene(tmp_path / "private" / "a.tif")
    with listening() as (url, asked):
        for source in (str(private), f"/vsicurl/{url}/a.tif"):
            with pytest.raises(TableError):
                read_embeddings(mosaic(tmp_path / "s" / "e.tif", source), None, RunContext())
        assert asked == []


def test_a_plain_tile_is_no_raster_of_embeddings(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="single band"):
        read_embeddings(plain(tmp_path / "a.tif"), None, RunContext())
