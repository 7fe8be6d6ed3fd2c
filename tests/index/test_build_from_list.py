import shutil
from dataclasses import replace

import numpy as np
import pytest
from pyarrow import csv, parquet

from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.discovery.tile_list import sets_in_list, write_list
from rsretrieve.data.run_context import RunContext
from rsretrieve.errors import InputError, TableError
from rsretrieve.index.build import index_tiles
from rsretrieve.index.build_from_list import LongList, index_long_list, is_long_list
from rsretrieve.index.cluster import encode_on_cluster
from rsretrieve.index.cluster.cluster_options import ClusterOptions
from rsretrieve.index.external import mapped_rows
from rsretrieve.index.store.folder import open_index
from rsretrieve.index.vectors.choose_kind import IndexGoal
from tests.index.cluster.conftest import in_this_process

__all__ = ["in_this_process"]


@pytest.fixture
def listing(tiles, tmp_path):
    write_list(tmp_path / "tiles.csv", tiles, overwrite=False)
    return tmp_path / "tiles.csv"


@pytest.mark.parametrize("few_rows", [5, 1000])
def test_a_long_list_gives_the_index_of_a_short_one(
    in_this_process, model, listing, tmp_path, monkeypatch, few_rows
):
    monkeypatch.setattr(mapped_rows, "FEW_ROWS", few_rows)
    index_tiles(model, find_tiles(listing), tmp_path / "one", RunContext())
    listed = LongList.read([listing])
    assert (listed.count, len(listed.sample)) == (18, 18)
    summary = index_long_list(
        model, listed, tmp_path / "other", RunContext(), ClusterOptions(shards=5)
    )
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
    listed = LongList.read(files)
    assert (listed.count, len(listed.sample), len([*listed.paths()])) == (18, 18, 18)
    index_long_list(model, listed, tmp_path / "other", RunContext(), ClusterOptions(shards=4))
    one, other = open_index(tmp_path / "one"), open_index(tmp_path / "other")
    assert one.rows.column("id") == other.rows.column("id") == [tile.id for tile in tiles]
    assert (np.sum(one.vectors * other.vectors, axis=1) > 0.9999).all()


def test_a_tile_that_two_files_name_is_refused(tiles, tmp_path):
    files = [tmp_path / "a.csv", tmp_path / "b.csv"]
    for start, file in zip((0, 5), files):
        write_list(file, tiles.select(range(start, start + 6)), overwrite=False)
    with pytest.raises(TableError, match="twice") as refused:
        LongList.read(files)
    assert tiles[5].id in refused.value.message


def test_sets_of_a_list_are_its_tiles_in_order(tiles, listing):
    said = []
    sets = list(sets_in_list(listing, 7, said.append))
    assert [len(one) for one in sets] == [7, 7, 4]
    assert [tile for one in sets for tile in one] == list(find_tiles(listing))


def test_a_tile_that_is_named_twice_is_refused(listing):
    line = listing.read_text().splitlines()[3]
    listing.write_text(listing.read_text() + line + "\n")
    with pytest.raises(TableError, match=r"twice") as refused:
        LongList.read([listing])
    assert line.partition(",")[0] in refused.value.message


def test_large_files_are_long_lists(listing, tmp_path, monkeypatch):
    assert not is_long_list([str(listing)])
    monkeypatch.setattr("rsretrieve.index.build_from_list.LONG_LIST_BYTES", 10)
    assert is_long_list([str(listing)])
    assert is_long_list([str(listing), str(listing)])
    assert not is_long_list([str(listing), str(tmp_path)])
    assert not is_long_list([str(tmp_path)])


def test_shards_are_encoded_by_the_cluster_and_merged(
    in_this_process, model, listing, tmp_path, monkeypatch
):
    monkeypatch.setattr(encode_on_cluster, "MANY_VECTORS", 1)
    goal = IndexGoal(key="IVF4,SQ8")
    index_tiles(model, find_tiles(listing), tmp_path / "one", RunContext(), goal=goal)
    index_long_list(
        *(model, LongList.read([listing]), tmp_path / "other", RunContext()),
        ClusterOptions(shards=5, shard_folder=str(tmp_path / "shards")),
        goal=goal,
    )
    assert len(list((tmp_path / "shards").glob("0*.faiss"))) == 5
    one, other = (open_index(tmp_path / name) for name in ("one", "other"))
    found = [store.open_vector_index().search(one.vectors[:18], 5) for store in (one, other)]
    assert np.array_equal(found[0][1], found[1][1])
    assert np.abs(found[0][0] - found[1][0]).max() < 1e-6


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
            *(model, LongList.read([listing]), tmp_path / "other", RunContext()),
            ClusterOptions(shards=3, shard_folder=str(tmp_path / "shards")),
            goal=IndexGoal(key="IVF4,SQ8"),
        )
