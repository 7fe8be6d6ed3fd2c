import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.run_context import RunContext
from rsretrieve.errors import InputError, OutputRefused, TileError
from rsretrieve.index.build import index_tiles
from rsretrieve.index.cluster.cluster_options import ClusterOptions
from rsretrieve.index.cluster.embed_on_cluster import processes_for
from rsretrieve.index.cluster.ray_cluster import Machines, Processes
from rsretrieve.index.store.folder import open_index


@pytest.fixture
def folder(tiles, tmp_path):
    """The tiles, copied, and one that cannot be read."""
    copies = tmp_path / "tiles"
    for number, tile in enumerate(tiles):
        target = copies / str(tile.label) / f"{number:02}.tif"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(tile.path, target)
    (copies / "water" / "broken.tif").write_bytes(b"no raster")
    old = 1_600_000_000
    for path in copies.rglob("*.tif"):
        os.utime(path, (old, old))
    return copies


def built(model, folder, index, **options):
    context = RunContext()
    kept = {"shards": 4, "shard_folder": str(index.with_name("shards")), **options}
    summary = index_tiles(
        model,
        find_tiles(folder),
        index,
        context,
        overwrite=True,
        cluster=ClusterOptions(**kept),
    )
    return summary, context


def stateless(store):
    """The rows, without the states of files, which are empty for files changed just now."""
    return [replace(row, state="") for row in store.rows]


def same(one: Path, other: Path) -> bool:
    a, b = open_index(one), open_index(other)
    assert a.rows.column("id") == b.rows.column("id")
    assert stateless(a) == stateless(b)
    return bool((np.sum(a.vectors * b.vectors, axis=1) > 0.9999).all())


def test_a_cluster_builds_the_index_that_this_process_builds(
    in_this_process, model, folder, tmp_path
):
    local = RunContext()
    index_tiles(model, find_tiles(folder), tmp_path / "local", local)
    summary, context = built(model, folder, tmp_path / "index")
    assert same(tmp_path / "local", tmp_path / "index")
    assert [bad.tile_id for bad in context.failures] == ["water/broken.tif"]
    assert context.failures[0].reason == local.failures[0].reason
    assert (summary.tiles, summary.added, summary.resumed) == (18, 18, 0)


def test_shards_beside_the_index_are_removed_in_the_end(in_this_process, model, folder, tmp_path):
    built(model, folder, tmp_path / "index", shard_folder=None)
    assert {path.name for path in tmp_path.iterdir()} == {"tiles", "index"}


def test_a_folder_with_files_of_others_gets_no_shards(in_this_process, model, folder, tmp_path):
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards" / "run.json").write_text('{"mine": 1}')
    with pytest.raises(OutputRefused, match=r"run\.json"):
        built(model, folder, tmp_path / "index")
    assert [path.name for path in (tmp_path / "shards").iterdir()] == ["run.json"]
    assert (tmp_path / "shards" / "run.json").read_text() == '{"mine": 1}'


def test_what_is_in_shards_is_not_embedded_again(in_this_process, model, folder, tmp_path):
    built(model, folder, tmp_path / "one")
    removed = sorted((tmp_path / "shards").glob("*.parquet"))[1]
    removed.unlink()
    summary, _ = built(model, folder, tmp_path / "other")
    assert 18 - summary.resumed == 5
    assert same(tmp_path / "one", tmp_path / "other")


def test_a_damaged_shard_is_embedded_again(in_this_process, model, folder, tmp_path):
    built(model, folder, tmp_path / "one")
    damaged = sorted((tmp_path / "shards").glob("*.parquet"))[0]
    damaged.write_bytes(damaged.read_bytes()[:-100])
    summary, _ = built(model, folder, tmp_path / "other")
    assert 18 - summary.resumed == 5
    assert same(tmp_path / "one", tmp_path / "other")


def test_a_tile_that_changed_meanwhile_is_embedded_again(in_this_process, model, folder, tmp_path):
    built(model, folder, tmp_path / "one")
    first, second = sorted((folder / "water").glob("1*.tif"))[:2]
    shutil.copyfile(first, second)
    summary, _ = built(model, folder, tmp_path / "other")
    assert 18 - summary.resumed == 1
    row = open_index(tmp_path / "other").rows.column("id").index(f"water/{second.name}")
    twin = open_index(tmp_path / "other").rows.column("id").index(f"water/{first.name}")
    vectors = open_index(tmp_path / "other").vectors
    assert vectors[row] @ vectors[twin] > 0.9999


def test_a_tile_that_can_be_read_now_is_embedded(in_this_process, model, folder, tmp_path):
    built(model, folder, tmp_path / "one")
    shutil.copyfile(next(folder.glob("water/1*.tif")), folder / "water" / "broken.tif")
    summary, context = built(model, folder, tmp_path / "other")
    assert (summary.tiles, summary.tiles - summary.resumed, context.failures) == (19, 1, [])


def test_another_model_uses_no_shard_of_the_first(
    in_this_process, model, other_model, folder, tmp_path
):
    built(model, folder, tmp_path / "one")
    summary, _ = built(other_model, folder, tmp_path / "other")
    assert summary.resumed == 0


def test_an_update_embeds_only_what_is_new(in_this_process, model, folder, tmp_path):
    built(model, folder, tmp_path / "index", shard_folder=None)
    shutil.copyfile(next(folder.glob("water/1*.tif")), folder / "water" / "new.tif")
    summary = index_tiles(
        model,
        find_tiles(folder),
        tmp_path / "index",
        RunContext(),
        update=True,
        cluster=ClusterOptions(),
    )
    assert (summary.added, summary.unchanged) == (1, 18)


def test_a_strict_run_ends_with_the_tile(in_this_process, model, folder, tmp_path):
    with pytest.raises(TileError, match="broken"):
        index_tiles(
            model,
            find_tiles(folder),
            tmp_path / "index",
            RunContext(strict=True),
            cluster=ClusterOptions(shards=2),
        )


def test_a_shard_that_somebody_changed_after_its_process_is_refused(
    in_this_process, model, folder, tmp_path, monkeypatch
):
    from rsretrieve.index.cluster import embed_on_cluster

    def swapping(make, items, _):
        reports = [make()(item) for item in items]
        first, second = sorted((tmp_path / "shards").glob("*.parquet"))[:2]
        shutil.copyfile(first, second)
        return reports

    monkeypatch.setattr(embed_on_cluster, "each_done", swapping)
    with pytest.raises(InputError, match="is not what was written"):
        built(model, folder, tmp_path / "index")
    assert not (tmp_path / "index").exists()


@pytest.mark.parametrize(
    ("machines", "options", "expected"),
    [
        (Machines(8, 0), {}, Processes(8, 1, 0)),
        (Machines(8, 0), {"workers": 3}, Processes(3, 1, 0)),
        (Machines(8, 2), {}, Processes(2, 4, 1)),
        (Machines(8, 2), {"device": "cpu"}, Processes(8, 1, 0)),
    ],
)
def test_a_process_for_each_gpu_or_core(machines, options, expected):
    assert processes_for(machines, ClusterOptions(**options)) == expected


def test_a_gpu_that_is_missing_is_said():
    with pytest.raises(InputError, match="no GPU"):
        processes_for(Machines(4, 0), ClusterOptions(device="cuda"))


@pytest.mark.slow
def test_nothing_is_lost_in_an_object_store_that_fails(
    in_this_process, faulty_store, model, folder, tmp_path
):
    built(model, folder, tmp_path / "one")
    faulty_store.every = 4
    options = {"shards": 18, "shard_folder": "s3://shards/run"}
    summary, _ = built(model, folder, tmp_path / "two", **options)
    assert summary.resumed == 0
    summary, _ = built(model, folder, tmp_path / "three", **options)
    assert summary.resumed == 18
    assert same(tmp_path / "one", tmp_path / "two")
    assert same(tmp_path / "one", tmp_path / "three")
    assert {"refused", "late", "cut short on the way back"} <= {*faulty_store.counts}
