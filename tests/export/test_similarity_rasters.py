"""The files of similarity maps: what is in them, and what is refused."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import rasterio

from rsretrieve.errors import InputError, InvalidArgument, OutputExists
from rsretrieve.export.similarity_rasters import scenes_to_map, write_similarity_maps
from rsretrieve.index.store.folder import IndexStore
from rsretrieve.index.store.tile_table import IndexedTile
from rsretrieve.search.search import QueryResult
from rsretrieve.search.similarity_map import similarity_map
from tests.support.indexes.scene_indexes import grid, index_of, rows_of_scene
from tests.support.tiles.made_tiles import UTM


def result_of(store: IndexStore) -> QueryResult:
    return QueryResult("the query", None, (), expanded=True, vectors=store.vectors[:1])


def write(path: Path, store: IndexStore, *, overwrite: bool = False) -> list[str]:
    scenes = scenes_to_map(store, path, overwrite=overwrite)
    return write_similarity_maps(path, store, scenes, [result_of(store)], overwrite=overwrite)


@pytest.fixture
def one(tmp_path: Path) -> IndexStore:
    windows = grid(6, 4, 16, 8)
    return index_of(tmp_path / "index", rows_of_scene("/data/s.tif", windows[:-1], **UTM))


@pytest.fixture
def several(tmp_path: Path) -> IndexStore:
    rows = [
        *rows_of_scene("/data/Ü ber:s.tif", grid(3, 3, 16, 16), **UTM),
        *rows_of_scene("/other/Ü ber:s.tif", grid(2, 1, 16, 16)),
        IndexedTile("photo.jpg", "/photo.jpg", None, 1, 1, None),
    ]
    return index_of(tmp_path / "index", rows)


def test_a_map_is_one_band_on_the_grid_of_the_scene(tmp_path: Path, one: IndexStore) -> None:
    assert write(tmp_path / "map.tif", one) == []
    wanted = similarity_map(
        one, *scenes_to_map(one, Path("m.tif"), overwrite=False), one.vectors[:1]
    )
    with rasterio.open(tmp_path / "map.tif") as dataset:
        assert (dataset.driver, dataset.count, dataset.dtypes) == ("GTiff", 1, ("float32",))
        assert dataset.crs == UTM["crs"]
        assert np.isnan(dataset.nodata)
        assert tuple(dataset.transform)[:6] == (80, 0, 500_040, 0, -80, 3_999_960)
        assert np.array_equal(dataset.read(1), wanted.values, equal_nan=True)
        assert dataset.read_masks(1).sum() == 255 * 23
        assert dataset.tags()["query"] == "the query"
        assert dataset.tags()["expanded"] == "true"
        assert dataset.descriptions == ("cosine similarity",)


def test_a_file_that_is_there_is_kept(tmp_path: Path, one: IndexStore) -> None:
    (tmp_path / "map.tif").write_bytes(b"mine")
    with pytest.raises(OutputExists):
        write(tmp_path / "map.tif", one)
    assert (tmp_path / "map.tif").read_bytes() == b"mine"
    write(tmp_path / "map.tif", one, overwrite=True)
    with rasterio.open(tmp_path / "map.tif") as dataset:
        assert dataset.count == 1
    assert {path.name for path in tmp_path.iterdir()} == {"map.tif", "index"}


def test_several_scenes_need_a_folder(tmp_path: Path, several: IndexStore) -> None:
    with pytest.raises(InputError, match="2 scenes") as refused:
        write(tmp_path / "map.tif", several)
    assert "folder" in refused.value.hint
    notices = write(tmp_path / "maps", several)
    assert any("no georeference" in text for text in notices)
    assert any(text.startswith("1 tiles are no windows") for text in notices)
    with (tmp_path / "maps" / "maps.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["scene"] for row in rows] == ["/data/Ü ber:s.tif", "/other/Ü ber:s.tif"]
    assert [row["file"] for row in rows] == ["1_Ü_ber_s.tif", "2_Ü_ber_s.tif"]
    for row, shape in zip(rows, [(3, 3), (1, 2)]):
        with rasterio.open(tmp_path / "maps" / row["file"]) as dataset:
            assert dataset.shape == shape
            values = dataset.read(1)
        assert float(row["highest"]) == pytest.approx(values.max())
        assert float(row["lowest"]) == pytest.approx(values.min())
        assert int(row["windows"]) == values.size


def test_only_a_folder_of_maps_is_replaced(tmp_path: Path, several: IndexStore) -> None:
    write(tmp_path / "maps", several)
    with pytest.raises(OutputExists):
        write(tmp_path / "maps", several)
    first = next((tmp_path / "maps").glob("1_*.tif"))
    first.rename(first.with_name("mine.tif"))
    Path(f"{first}.aux.xml").touch()
    write(tmp_path / "maps", several, overwrite=True)
    assert {path.name[0] for path in (tmp_path / "maps").glob("*.tif")} == {*"12m"}
    assert not Path(f"{first}.aux.xml").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("text")
    with pytest.raises(OutputExists, match="did not write"):
        write(tmp_path / "mine", several, overwrite=True)
    (tmp_path / "mine" / "maps.csv").write_text("file,scene\nthesis.txt,1\n")
    with pytest.raises(OutputExists, match="did not write"):
        write(tmp_path / "mine", several, overwrite=True)
    assert (tmp_path / "mine" / "thesis.txt").exists()


def test_a_map_of_the_users_with_the_name_of_a_new_one_is_kept(
    tmp_path: Path, several: IndexStore
) -> None:
    write(tmp_path / "maps", several)
    listed = (tmp_path / "maps" / "maps.csv").read_text(encoding="utf-8").splitlines()
    (tmp_path / "maps" / "maps.csv").write_text("\n".join(listed[:2]), encoding="utf-8")
    with pytest.raises(OutputExists, match="holds 2_"):
        write(tmp_path / "maps", several, overwrite=True)
    assert len(list((tmp_path / "maps").glob("*.tif"))) == 2


@pytest.mark.parametrize("name", ["map.png", "map.nc", "map.TIFF.old"])
def test_other_formats_are_refused(tmp_path: Path, one: IndexStore, name: str) -> None:
    with pytest.raises(InvalidArgument, match="GeoTIFF"):
        write(tmp_path / name, one)
    assert not (tmp_path / name).exists()
    for other in ("MAP.TIF", "maps.v2"):
        write(tmp_path / other, one)
    assert (tmp_path / "MAP.TIF").is_file()
    assert (tmp_path / "maps.v2" / "1_s.tif").is_file()


def test_a_map_is_of_one_query(tmp_path: Path, one: IndexStore) -> None:
    scenes, results = scenes_to_map(one, tmp_path / "m.tif", overwrite=False), [result_of(one)] * 2
    with pytest.raises(InvalidArgument, match="one query, not 2"):
        write_similarity_maps(tmp_path / "m.tif", one, scenes, results, overwrite=False)
