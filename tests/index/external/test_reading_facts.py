"""An exported index that is built again says how its tiles were read, or compares no vector."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from pyarrow import parquet
from rasterio.transform import from_origin

from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.windowing import SceneChoices, WindowChoices
from rsretrieve.errors import IndexDamaged, TableError
from rsretrieve.export.geoparquet import write_embeddings
from rsretrieve.index.build import index_tiles
from rsretrieve.index.build_from_embeddings import EmbeddingUpdate, index_embeddings
from rsretrieve.index.maintenance.repair import repair_index
from rsretrieve.index.maintenance.verify import verify_index
from rsretrieve.index.store.folder import IndexStore, open_index
from rsretrieve.index.write import IndexBuildOptions
from rsretrieve.network.model import Model
from rsretrieve.progress import Event, Noticed
from tests.support.tiles.made_tiles import save_raster

SCENES = SceneChoices(windows=WindowChoices(16, resolution_m=20.0, max_nodata=0.25))
SCALES = (1e-4,) * 6, (0.0,) * 6


@pytest.fixture(scope="module")
def exported(model: Model, tmp_path_factory: pytest.TempPathFactory) -> IndexStore:
    """An index of windows read at half the resolution, in a unit that its model does not keep."""
    root = tmp_path_factory.mktemp("exported")
    for number in range(2):
        values = np.random.default_rng(number).integers(100, 9000, (6, 96, 96), np.uint16)
        values[:, :, 48:] = values[:, :, 48:] // 8 + 3000
        path = root / "scenes" / f"{number}.tif"
        save_raster(path, values, crs="EPSG:32632", transform=from_origin(6e5, 5e6, 10, 10))
        with rasterio.open(path, "r+") as dataset:
            dataset.scales, dataset.offsets = SCALES
    with rasterio.open(root / "scenes" / "1.tif", "r+") as dataset:
        dataset.scales = (2e-4,) * 6
    index_tiles(model, find_tiles(root / "scenes", scenes=SCENES), root / "index", RunContext())
    store = open_index(root / "index")
    assert store.manifest.packing
    assert set(store.rows.column("read_px")) == {16}
    write_embeddings(root / "all.parquet", store, overwrite=False)
    return store


def table_of(store: IndexStore) -> Path:
    return store.folder.parent / "all.parquet"


def imported(
    source: Path, folder: Path, update: EmbeddingUpdate | None = None
) -> tuple[IndexStore, str]:
    events: list[Event] = []
    context = RunContext(listener=events.append)
    index_embeddings(source, None, IndexBuildOptions(folder), context, None, update)
    return open_index(folder), said_in(events)


def said_in(events: list[Event]) -> str:
    return " ".join(event.text for event in events if isinstance(event, Noticed))


def changed(
    store: IndexStore, path: Path, change: Callable[[dict[str, Any]], object], drop: str = ""
) -> Path:
    """The exported table with other metadata, and without a column."""
    table = parquet.read_table(table_of(store))
    metadata = dict(table.schema.metadata)
    told = json.loads(metadata[b"rsretrieve"])
    change(told)
    metadata[b"rsretrieve"] = json.dumps(told).encode()
    table = table.drop_columns([drop]) if drop else table
    parquet.write_table(table.replace_schema_metadata(metadata), path)
    return path


def untold(told: dict[str, Any]) -> None:
    """As an earlier version exported it."""
    del told["windows"], told["packing"]


def lose_vectors(folder: Path) -> None:
    for name in ("index.faiss", "embeddings.npy"):
        content = bytearray((folder / name).read_bytes())
        content[-3] ^= 9
        (folder / name).write_bytes(content)


@pytest.mark.medium
def test_a_copy_is_verified_repaired_and_updated_as_the_index(
    exported: IndexStore, model: Model, tmp_path: Path
) -> None:
    store, _ = imported(table_of(exported), tmp_path / "copy")
    assert store.manifest.windows == exported.manifest.windows
    assert store.manifest.packing == exported.manifest.packing
    found = verify_index(store.folder, lambda _: model)
    assert (found.problems, found.embedded_again) == ((), 18)
    again = tmp_path / "again.parquet"
    write_embeddings(again, store, overwrite=False)
    for path in (again, table_of(exported)):
        told = json.loads(parquet.read_schema(path).metadata[b"rsretrieve"])
        assert told["packing"] == exported.manifest.packing
    tiles = find_tiles(exported.folder.parent / "scenes", scenes=SCENES)
    summary = index_tiles(model, tiles, store.folder, RunContext(), update=True)
    assert (summary.added, summary.unchanged) == (0, 18)
    imported(table_of(exported), tmp_path / "lost")
    lose_vectors(tmp_path / "lost")
    assert repair_index(tmp_path / "lost", lambda _: model, RunContext()).after.sound
    lost = open_index(tmp_path / "lost")
    before = dict(zip(exported.rows.column("id"), exported.vectors))
    for tile_id, vector in zip(lost.rows.column("id"), lost.vectors):
        assert float(vector @ before[tile_id]) > 0.999


OTHER = {
    "told by nobody": untold,
    "packing only": lambda told: told.pop("windows"),
    "no numbers": lambda told: told.update(packing={"scales": ["a"], "offsets": [0]}),
    "a scale of 0": lambda told: told.update(packing={"scales": [0.0] * 6, "offsets": [0.0] * 6}),
    "a list": lambda told: told.update(packing=[1, 2]),
    "other windows": lambda told: told["windows"].update(window_px=32),
    "another choice": lambda told: told["windows"].update(more=1),
    "huge windows": lambda told: told["windows"].update(window_px=1 << 40),
    "text": lambda told: told.update(windows="16"),
}


@pytest.mark.medium
@pytest.mark.parametrize("name", OTHER)
def test_a_copy_that_does_not_say_how_tiles_were_read_compares_none(
    exported: IndexStore, model: Model, tmp_path: Path, name: str
) -> None:
    source = changed(exported, tmp_path / "one.parquet", OTHER[name])
    store, said = imported(source, tmp_path / "copy")
    assert ("do not fit its rows" in said) == (name != "told by nobody")
    assert (store.manifest.windows, store.manifest.packing) == ({}, {})
    found = verify_index(store.folder, lambda _: model)
    assert (found.problems, found.embedded_again) == ((), 0)
    assert "does not say how" in found.hint
    assert repair_index(store.folder, lambda _: model, RunContext()).mended == ()
    np.testing.assert_array_equal(open_index(store.folder).vectors, store.vectors)
    lose_vectors(store.folder)
    with pytest.raises(IndexDamaged, match="does not say how"):
        repair_index(store.folder, lambda _: model, RunContext())


@pytest.mark.medium
def test_an_update_by_tiles_embeds_again_what_was_read_in_an_unknown_way(
    exported: IndexStore, model: Model, tmp_path: Path
) -> None:
    source = changed(exported, tmp_path / "one.parquet", untold)
    store, _ = imported(source, tmp_path / "copy")
    events: list[Event] = []
    context = RunContext(listener=events.append)
    tiles = find_tiles(exported.folder.parent / "scenes", scenes=SCENES)
    summary = index_tiles(model, tiles, store.folder, context, update=True)
    assert (summary.added, summary.unchanged) == (18, 0)
    assert "embedded again" in said_in(events)
    assert open_index(store.folder).manifest.tells_reading


@pytest.mark.medium
@pytest.mark.parametrize("update", [EmbeddingUpdate(), EmbeddingUpdate(changes_only=True)])
@pytest.mark.parametrize("table", ["as it is", "untold", "without the column"])
def test_an_update_by_the_same_vectors_leaves_an_index_of_tiles_comparable(
    exported: IndexStore, model: Model, tmp_path: Path, update: EmbeddingUpdate, table: str
) -> None:
    folder = Path(shutil.copytree(exported.folder, tmp_path / "index"))
    source = table_of(exported)
    if table != "as it is":
        drop = "read_px" if table == "without the column" else ""
        source = changed(exported, tmp_path / "one.parquet", untold, drop)
    store, _ = imported(source, folder, update)
    assert store.manifest.packing == exported.manifest.packing
    assert store.manifest.windows == exported.manifest.windows
    assert store.manifest.tells_reading == (table != "without the column")
    found = verify_index(folder, lambda _: model)
    assert (found.problems, found.embedded_again) == ((), 18 if store.manifest.tells_reading else 0)


@pytest.mark.parametrize("value", [0, -1, 1 << 31, 1 << 40, "ten", 1.5])
def test_a_side_that_is_no_number_of_pixels_is_refused(tmp_path: Path, value: object) -> None:
    path = tmp_path / "one.csv"
    path.write_text(f"id,read_px,embedding_0,embedding_1\na,{value},1,0\n")
    with pytest.raises(TableError, match="read_px"):
        imported(path, tmp_path / "copy")
