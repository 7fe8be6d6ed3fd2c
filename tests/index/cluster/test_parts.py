from dataclasses import replace

import pytest

from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.errors import InvalidArgument
from rsretrieve.index.cluster.cluster_options import ClusterOptions
from rsretrieve.index.cluster.parts import divided, groups_of, parts_of, run_digest

TILES = TileSet("tiles", tuple(Tile(f"{i}.png", f"/tiles/{i}.png", "forest") for i in range(10)))
RUN = run_digest({"model_fingerprint": "abc"})


def names(tiles=TILES, rows=4, run=RUN):
    return [part.shard for part in parts_of(divided(tiles, rows), run)]


def test_parts_are_all_tiles_in_their_order():
    parts = list(parts_of(divided(TILES, 4), RUN))
    assert [part.count for part in parts] == [4, 4, 2]
    assert [tile for part in parts for tile in part.tiles.load()] == list(TILES)


@pytest.mark.parametrize(
    ("least", "tiles", "numbers"),
    [(1, 1, [[0], [1], [2]]), (2, 1, [[0, 1], [2]]), (1, 5, [[0, 1], [2]]), (9, 1, [[0, 1, 2]])],
)
def test_groups_have_enough_parts_and_tiles(least, tiles, numbers):
    groups = groups_of(parts_of(divided(TILES, 4), RUN), least, tiles)
    assert [[part.number for part in group] for group in groups] == numbers


def test_names_say_number_and_content_and_stay():
    assert names() == names()
    assert [name[:7] for name in names()] == ["000000-", "000001-", "000002-"]


def test_another_model_has_other_shards():
    assert not {*names()} & {*names(run=run_digest({"model_fingerprint": "abd"}))}


def changed(position, **values):
    some = list(TILES)
    some[position] = replace(some[position], **values)
    return replace(TILES, tiles=tuple(some))


@pytest.mark.parametrize("values", [{"path": "/others/5.png"}, {"id": "five.png"}])
def test_another_tile_changes_only_its_own_shard(values):
    was, now = names(), names(changed(5, **values))
    assert [a == b for a, b in zip(was, now)] == [True, False, True]


def test_relative_paths_are_made_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiles = TileSet("t", (Tile("a.png", "t/a.png"), Tile("b", "https://x.org/b")), folders=("t",))
    (part,) = parts_of([tiles], RUN)
    found = part.tiles.load()
    assert [tile.path for tile in found] == [f"{tmp_path}/t/a.png", "https://x.org/b"]
    assert found.folders == (f"{tmp_path}/t",)


def test_another_label_changes_no_shard():
    assert names(changed(5, label="water")) == names()


@pytest.mark.parametrize(
    ("tiles", "shards", "rows"),
    [(10, 3, 4), (10, 20, 1), (100, None, 256), (1_000_000, None, 1000), (10**9, None, 65_536)],
)
def test_rows_of_a_shard(tiles, shards, rows):
    assert ClusterOptions(shards=shards).rows_a_shard(tiles) == rows


@pytest.mark.parametrize("given", [{"shards": 0}, {"workers": 0}])
def test_numbers_that_make_no_sense_are_refused(given):
    with pytest.raises(InvalidArgument, match="0"):
        ClusterOptions(**given)
