import gc
import shutil
from dataclasses import replace

import numpy as np
import pytest
from pyarrow import csv, parquet

from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.discovery.tile_list import write_list
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile
from rsretrieve.errors import InputError, TileError
from rsretrieve.index import build_from_list
from rsretrieve.index.build import index_tiles
from rsretrieve.index.build_from_list import index_long_list
from rsretrieve.index.cluster import encode_on_cluster
from rsretrieve.index.cluster.cluster_options import ClusterOptions
from rsretrieve.index.external import mapped_rows
from rsretrieve.index.long_list import long_list
from rsretrieve.index.store.folder import open_index
from rsretrieve.index.vectors.choose_kind import IndexGoal
from rsretrieve.progress import Advanced
from tests.index.cluster.conftest import in_this_process

__all__ = ["in_this_process"]


@pytest.fixture
def listing(tiles, tmp_path):
    write_list(tmp_path / "tiles.csv", tiles, overwrite=False)
    return tmp_path / "tiles.csv"


ENGINES = [None, ClusterOptions(shards=5)]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("few_rows", [5, 1000])
def test_a_long_list_gives_the_index_of_a_short_one(
    in_this_process, model, listing, tmp_path, monkeypatch, few_rows, engine
):
    monkeypatch.setattr(mapped_rows, "FEW_ROWS", few_rows)
    monkeypatch.setattr(build_from_list, "LOCAL_PART_ROWS", 4)
    index_tiles(model, find_tiles(listing), tmp_path / "one", RunContext())
    listed = long_list([listing], refuse_repeated=True)
    assert (listed.count, len(listed.sample)) == (18, 18)
    summary = index_long_list(model, listed, tmp_path / "other", RunContext(), engine)
    one, other = open_index(tmp_path / "one"), open_index(tmp_path / "other")
    a, b = ([replace(row, state="") for row in store.rows] for store in (one, other))
    assert a == b
    assert (np.sum(one.vectors * other.vectors, axis=1) > 0.9999).all()
    assert (summary.tiles, summary.added, summary.failed) == (18, 18, 0)
    left = {"places", "tile_scale", "packing", "windows", "model", "model_fingerprint"}
    assert all(getattr(one.manifest, key) == getattr(other.manifest, key) for key in left)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_the_files_of_a_dataset_follow_each_other(in_this_process, model, tiles, tmp_path):
    files = [tmp_path / f"part-{number}.parquet" for number in range(3)]
    for number, file in enumerate(files):
        some = tiles.select(range(6 * number, 6 * number + 6))
        write_list(file.with_suffix(".csv"), some, overwrite=False)
        parquet.write_table(csv.read_csv(file.with_suffix(".csv")), file)
    index_tiles(model, find_tiles([str(file) for file in files]), tmp_path / "one", RunContext())
    listed = long_list(files, refuse_repeated=True)
    assert (listed.count, len(listed.sample), len([*listed.paths()])) == (18, 18, 18)
    index_long_list(model, listed, tmp_path / "other", RunContext(), ClusterOptions(shards=4))
    one, other = open_index(tmp_path / "one"), open_index(tmp_path / "other")
    assert one.rows.column("id") == other.rows.column("id") == [tile.id for tile in tiles]
    assert (np.sum(one.vectors * other.vectors, axis=1) > 0.9999).all()


def test_shards_are_encoded_by_the_cluster_and_merged(
    in_this_process, model, listing, tmp_path, monkeypatch
):
    monkeypatch.setattr(encode_on_cluster, "MANY_VECTORS", 1)
    goal = IndexGoal(key="IVF4,SQ8")
    index_tiles(model, find_tiles(listing), tmp_path / "one", RunContext(), goal=goal)
    index_long_list(
        *(model, long_list([listing], refuse_repeated=True), tmp_path / "other", RunContext()),
        ClusterOptions(shards=5, shard_folder=str(tmp_path / "shards")),
        goal=goal,
    )
    assert len(list((tmp_path / "shards").glob("0*.faiss"))) == 5
    one, other = (open_index(tmp_path / name) for name in ("one", "other"))
    found = [store.open_vector_index().search(one.vectors[:18], 5) for store in (one, other)]
    # The embeddings differ by rounding, as other tiles are embedded together. So hits that are
    # less apart than that may change places.
    assert np.abs(found[0][0] - found[1][0]).max() < 1e-6
    true = np.take_along_axis(one.vectors @ one.vectors.T, found[1][1], axis=1)
    assert np.abs(found[0][0] - true).max() < 1e-6


def test_an_encoded_shard_that_somebody_changed_ends_the_run(
    in_this_process, model, listing, tmp_path, monkeypatch
):
    monkeypatch.setattr(encode_on_cluster, "MANY_VECTORS", 1)

    def swapping(make, items, _):
        reports = [make()(item) for item in items]
        shutil.copyfile(tmp_path / "shards" / "000000.faiss", tmp_path / "shards" / "000001.faiss")
        return reports

    monkeypatch.setattr(encode_on_cluster, "each_done", swapping)
    with pytest.raises(InputError, match=r"000001.faiss is not what was written"):
        index_long_list(
            *(model, long_list([listing], refuse_repeated=True), tmp_path / "other", RunContext()),
            ClusterOptions(shards=3, shard_folder=str(tmp_path / "shards")),
            goal=IndexGoal(key="IVF4,SQ8"),
        )


@pytest.fixture
def long_listing(tiles, tmp_path):
    """90 rows; the files lie beside the list, so that the same processes read all parts."""
    rows = ["tile,path,label\n"]
    for number, tile in enumerate(tiles):
        shutil.copyfile(tile.path, tmp_path / f"{number}.tif")
        rows += [f"{again}/{tile.id},{number}.tif,{tile.label}\n" for again in range(5)]
    path = tmp_path / "long.csv"
    path.write_text("".join(rows))
    return path


def tiles_alive():
    return sum(type(one) is Tile for one in gc.get_objects())


@pytest.mark.medium
def test_no_more_tiles_than_those_of_a_part_are_in_memory(
    model, long_listing, tmp_path, monkeypatch
):
    monkeypatch.setattr(build_from_list, "LOCAL_PART_ROWS", 4)
    monkeypatch.setattr("rsretrieve.index.long_list.SAMPLED_TILES", 4)
    most = []

    def count(event):
        if isinstance(event, Advanced):
            most.append(tiles_alive())

    context = RunContext(listener=count)
    gc.collect()
    gc.freeze()  # only what is made from now on is counted, which is faster, too
    try:
        listed = long_list([long_listing], refuse_repeated=False)
        summary = index_long_list(model, listed, tmp_path / "index", context, None)
    finally:
        gc.unfreeze()
    assert (summary.tiles, summary.device) == (90, "cpu")
    assert 4 <= max(most) <= 20  # the sample, a part, and the batch that is read


@pytest.mark.medium
def test_an_interrupted_run_goes_on_with_the_parts_that_it_has(
    model, long_listing, tmp_path, monkeypatch
):
    monkeypatch.setattr(build_from_list, "LOCAL_PART_ROWS", 16)
    listed = long_list([long_listing], refuse_repeated=False)
    done = []

    def interrupt(event):
        done.append(getattr(event, "tiles", 0))
        if sum(done) > 40:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        index_long_list(model, listed, tmp_path / "index", RunContext(listener=interrupt), None)
    assert not (tmp_path / "index").exists()
    done.clear()
    context = RunContext(listener=lambda event: done.append(getattr(event, "tiles", 0)))
    summary = index_long_list(model, listed, tmp_path / "index", context, None)
    assert (summary.tiles, summary.added, summary.resumed) == (90, 90, 32)
    assert sum(done) == 90
    found = open_index(tmp_path / "index")
    index_tiles(model, find_tiles(long_listing), tmp_path / "one", RunContext())
    one = open_index(tmp_path / "one")
    assert [replace(row, state="") for row in found.rows] == [
        replace(row, state="") for row in one.rows
    ]
    assert (np.sum(found.vectors * one.vectors, axis=1) > 0.9999).all()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.medium
def test_an_index_of_a_long_list_is_updated_like_any_other(
    model, long_listing, tmp_path, monkeypatch
):
    monkeypatch.setattr(build_from_list, "LOCAL_PART_ROWS", 16)
    listed = long_list([long_listing], refuse_repeated=False)
    index_long_list(model, listed, tmp_path / "index", RunContext(), None)
    lines = long_listing.read_text().splitlines(keepends=True)
    long_listing.write_text("".join(lines[:-3]))
    summary = index_tiles(
        model, find_tiles(long_listing), tmp_path / "index", RunContext(), update=True
    )
    assert (summary.tiles, summary.added, summary.removed, summary.unchanged) == (87, 0, 3, 87)


@pytest.mark.medium
@pytest.mark.parametrize("strict", [False, True])
def test_tiles_that_cannot_be_read_are_told(model, long_listing, tmp_path, monkeypatch, strict):
    monkeypatch.setattr(build_from_list, "LOCAL_PART_ROWS", 16)
    for name in ("a", "b"):
        (tmp_path / f"{name}.png").write_bytes(b"no picture")
    with long_listing.open("a") as stream:
        stream.write("a,a.png,lost\nb,b.png,lost\n")
    listed = long_list([long_listing], refuse_repeated=False)
    context = RunContext(strict=strict)
    if strict:
        with pytest.raises(TileError, match=r"\ba\b"):
            index_long_list(model, listed, tmp_path / "index", context, None)
        return
    summary = index_long_list(model, listed, tmp_path / "index", context, None)
    assert (summary.tiles, summary.failed) == (90, 2)
    assert [bad.tile_id for bad in context.failures] == ["a", "b"]
    assert context.notices == ("classes without a readable tile: 1 ('lost')",)
