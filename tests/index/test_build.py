"""Indexing tiles, anew and as an update that equals a rebuild."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from rsretrieve._core.locks import only_writer
from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.data.windowing import SceneChoices, WindowChoices
from rsretrieve.errors import (
    IndexNotFound,
    InvalidArgument,
    ModelMismatch,
    NoUsableTiles,
    OutputBusy,
    OutputExists,
    TileError,
)
from rsretrieve.index import build, reuse
from rsretrieve.index import embed_tiles as embedding
from rsretrieve.index.build import index_tiles
from rsretrieve.index.embed_tiles import Embeddings, embed_readable_tiles, embed_tiles
from rsretrieve.index.journal import Journal
from rsretrieve.index.store.folder import IndexStore, open_index
from rsretrieve.index.store.tile_table import IndexedTile, TileTable
from rsretrieve.index.vectors.choose_kind import IndexGoal
from rsretrieve.index.write import IndexingSummary
from rsretrieve.network.model import Model
from rsretrieve.progress import Event, Listener, Noticed, StageStarted, ignore_events


@pytest.fixture
def root(tiles: TileSet, tmp_path: Path) -> Path:
    """A folder of eight tiles that may be changed."""
    for tile in tiles.select(range(8)):
        target = tmp_path / "tiles" / tile.id
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(tile.path, target)
    return tmp_path / "tiles"


@pytest.fixture
def folder(root: Path, model: Model, tmp_path: Path) -> Path:
    """Their index."""
    index(model, find_tiles(root), tmp_path / "index")
    return tmp_path / "index"


@pytest.fixture
def embedded_ids(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of all tiles that are embedded from now on."""
    ids: list[str] = []

    def noting(model: Model, tiles: TileSet, *arguments: object) -> Embeddings:
        ids.extend(tile.id for tile in tiles)
        return embed_readable_tiles(model, tiles, *arguments)

    monkeypatch.setattr(build, "embed_readable_tiles", noting)
    return ids


def index(
    model: Model,
    tiles: TileSet,
    folder: Path,
    listener: Listener = ignore_events,
    **choices: object,
) -> IndexingSummary:
    return index_tiles(model, tiles, folder, RunContext(listener=listener), **choices)


def timeless(rows: TileTable) -> list[IndexedTile]:
    """Without the state of the files, which is not recorded for a moment after a change."""
    return [replace(row, state="") for row in rows]


def assert_equals_rebuild(folder: Path, model: Model, tiles: TileSet) -> None:
    rebuilt = folder.with_name("rebuilt")
    index(model, tiles, rebuilt)
    one, other = open_index(folder), open_index(rebuilt)
    assert timeless(one.rows) == timeless(other.rows)
    assert np.abs(one.vectors - other.vectors).max() < 1e-5
    assert (one.manifest.tiles, one.manifest.model_fingerprint) == (
        other.manifest.tiles,
        other.manifest.model_fingerprint,
    )
    queries = np.array(one.vectors)
    assert np.array_equal(
        one.open_vector_index().search(queries, 1)[1],
        other.open_vector_index().search(queries, 1)[1],
    )


def paths(root: Path) -> list[Path]:
    return [Path(tile.path) for tile in find_tiles(root)]


# Anew


@pytest.mark.medium
def test_an_index_holds_every_tile_in_order_with_its_vector_and_place(
    model: Model, tiles: TileSet, store: IndexStore
) -> None:
    embedded = embed_tiles(model, tiles, RunContext())
    assert [row.tile for row in store.rows] == [
        replace(tile, path=str(Path(tile.path).resolve())) for tile in tiles
    ]
    assert [row.place for row in store.rows] == list(embedded.places)
    assert all(row.place is not None and row.place.crs == "EPSG:32632" for row in store.rows)
    assert np.abs(store.vectors - embedded.vectors).max() < 1e-5
    assert store.manifest.model == str(model.folder.resolve())
    assert store.manifest.model_fingerprint == model.description.fingerprint


@pytest.mark.medium
def test_the_summary_tells_what_was_indexed(model: Model, root: Path, tmp_path: Path) -> None:
    summary = index(model, find_tiles(root), tmp_path / "new")
    assert summary.index == str(tmp_path / "new")
    assert (summary.tiles, summary.added, summary.removed, summary.unchanged) == (8, 8, 0, 0)
    assert (summary.failed, summary.faiss_key, summary.device) == (0, "Flat", "cpu")
    assert summary.recall_at_10 == 1
    assert summary.seconds > 0
    assert summary.tiles_per_second > 0


@pytest.mark.medium
def test_a_faiss_key_is_taken_and_its_recall_measured(
    model: Model, root: Path, tmp_path: Path
) -> None:
    summary = index(model, find_tiles(root), tmp_path / "new", goal=IndexGoal("HNSW8"))
    manifest = open_index(tmp_path / "new").manifest
    assert summary.faiss_key == manifest.faiss_key == "HNSW8"
    assert 0 < manifest.recall_at_10 == summary.recall_at_10


@pytest.mark.medium
def test_a_key_that_cannot_be_built_leaves_no_index(
    model: Model, root: Path, tmp_path: Path
) -> None:
    with pytest.raises(InvalidArgument, match=r"^FAISS cannot build 'nonsense'"):
        index(model, find_tiles(root), tmp_path / "new", goal=IndexGoal("nonsense"))
    assert not (tmp_path / "new").exists()


def test_an_index_that_is_there_is_not_overwritten_nor_any_tile_embedded(
    model: Model, root: Path, folder: Path, embedded_ids: list[str]
) -> None:
    with pytest.raises(OutputExists, match=f"^{re.escape(str(folder))} already exists$"):
        index(model, find_tiles(root), folder)
    assert embedded_ids == []


def test_an_index_that_is_there_is_overwritten_when_asked_for(
    model: Model, root: Path, folder: Path
) -> None:
    summary = index(model, find_tiles(root).select([2, 5]), folder, overwrite=True)
    assert (summary.tiles, summary.added, summary.unchanged) == (2, 2, 0)
    assert len(open_index(folder).rows) == 2


@pytest.mark.medium
def test_bad_tiles_are_counted_and_left_out(model: Model, root: Path, tmp_path: Path) -> None:
    paths(root)[3].write_bytes(b"")
    context = RunContext()
    summary = index_tiles(model, find_tiles(root), tmp_path / "new", context)
    assert (summary.tiles, summary.added, summary.failed) == (7, 7, 1)
    assert [failure.reason for failure in context.failures] == ["the file is empty (0 bytes)"]


@pytest.mark.medium
def test_tiles_of_which_none_can_be_read_are_refused(
    model: Model, root: Path, tmp_path: Path
) -> None:
    for path in paths(root):
        path.write_bytes(b"")
    with pytest.raises(NoUsableTiles, match=r"none of 8 tiles can be used with this model"):
        index(model, find_tiles(root), tmp_path / "new")


@pytest.mark.medium
def test_the_listener_hears_of_both_stages(model: Model, root: Path, tmp_path: Path) -> None:
    events: list[Event] = []
    index_tiles(model, find_tiles(root), tmp_path / "new", RunContext(listener=events.append))
    stages = [event for event in events if isinstance(event, StageStarted)]
    assert [stage.name for stage in stages] == [
        "embedding tiles",
        "building the index",
        "measuring recall",
    ]
    assert stages[0] == StageStarted("embedding tiles", 8)


# Updates


def test_an_update_without_changes_embeds_nothing(
    model: Model, root: Path, folder: Path, embedded_ids: list[str]
) -> None:
    before = np.array(open_index(folder).vectors)
    summary = index(model, find_tiles(root), folder, update=True)
    assert embedded_ids == []
    assert (summary.tiles, summary.added, summary.removed, summary.unchanged) == (8, 0, 0, 8)
    assert summary.tiles_per_second == 0
    assert np.array_equal(open_index(folder).vectors, before)


def test_an_update_takes_in_new_tiles_and_only_them(
    model: Model, root: Path, folder: Path, tiles: TileSet, embedded_ids: list[str]
) -> None:
    shutil.copy2(tiles[12].path, root / "bare_soil" / "aaa.tif")
    shutil.copy2(tiles[13].path, root / "zzz.tif")
    summary = index(model, find_tiles(root), folder, update=True)
    assert embedded_ids == ["bare_soil/aaa.tif", "zzz.tif"]
    assert (summary.tiles, summary.added, summary.removed, summary.unchanged) == (10, 2, 0, 8)
    assert_equals_rebuild(folder, model, find_tiles(root))


def test_an_update_drops_tiles_that_are_gone(
    model: Model, root: Path, folder: Path, embedded_ids: list[str]
) -> None:
    paths(root)[0].unlink()
    summary = index(model, find_tiles(root), folder, update=True)
    assert embedded_ids == []
    assert (summary.tiles, summary.added, summary.removed, summary.unchanged) == (7, 0, 1, 7)
    assert_equals_rebuild(folder, model, find_tiles(root))


def test_an_update_embeds_changed_tiles_again(
    model: Model, root: Path, folder: Path, tiles: TileSet, embedded_ids: list[str]
) -> None:
    changed = find_tiles(root)[4]
    shutil.copyfile(tiles[15].path, changed.path)
    os.utime(changed.path, ns=(1, 1))
    summary = index(model, find_tiles(root), folder, update=True)
    assert embedded_ids == [changed.id]
    assert (summary.tiles, summary.added, summary.removed, summary.unchanged) == (8, 1, 0, 7)
    assert_equals_rebuild(folder, model, find_tiles(root))


def test_an_update_takes_on_the_labels_of_today_and_embeds_nothing(
    model: Model, root: Path, folder: Path, embedded_ids: list[str]
) -> None:
    tiles = find_tiles(root)
    relabelled = tiles.relabelled({tiles[0].id: "lake", tiles[1].id: None})
    index(model, relabelled, folder, update=True)
    assert embedded_ids == []
    assert [row.label for row in open_index(folder).rows[:2]] == ["lake", None]
    assert_equals_rebuild(folder, model, relabelled)


def test_an_update_takes_on_the_order_of_today(model: Model, root: Path, folder: Path) -> None:
    backwards = find_tiles(root).select(range(7, -1, -1))
    index(model, backwards, folder, update=True)
    assert [row.id for row in open_index(folder).rows] == [tile.id for tile in backwards]
    assert_equals_rebuild(folder, model, backwards)


def test_an_update_to_wholly_other_tiles_keeps_nothing(
    model: Model, root: Path, folder: Path, tiles: TileSet
) -> None:
    summary = index(model, tiles.select([10, 11]), folder, update=True)
    assert (summary.tiles, summary.added, summary.removed, summary.unchanged) == (2, 2, 8, 0)


def test_an_update_to_as_many_other_tiles_is_no_loss(
    model: Model, root: Path, folder: Path, embedded_ids: list[str]
) -> None:
    for number, path in enumerate(paths(root)):
        path.rename(path.with_name(f"renamed_{number}.tif"))
    summary = index(model, find_tiles(root), folder, update=True)
    assert (summary.tiles, summary.removed, len(embedded_ids)) == (8, 8, 8)


def test_an_update_without_most_of_many_tiles_is_refused_before_one_is_embedded(
    model: Model,
    root: Path,
    folder: Path,
    tiles: TileSet,
    embedded_ids: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reuse, "SOON_EMBEDDED", 4)
    for path in paths(root)[2:]:
        path.unlink()
    shutil.copyfile(tiles[10].path, root / "new.tif")
    with pytest.raises(InvalidArgument, match=r"^6 of the 8 tiles") as caught:
        index(model, find_tiles(root), folder, update=True)
    assert "--overwrite" in caught.value.hint
    assert embedded_ids == []
    assert len(open_index(folder).rows) == 8
    summary = index(model, find_tiles(root), folder, update=True, overwrite=True)
    assert (summary.tiles, summary.added, summary.removed) == (3, 1, 6)


def test_new_tiles_do_not_make_up_for_lost_ones_but_new_names_do(
    model: Model, root: Path, folder: Path, tiles: TileSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reuse, "SOON_EMBEDDED", 4)
    with pytest.raises(InvalidArgument, match=r"^8 of the 8 tiles"):
        index(model, tiles.select(range(8, 18)), folder, update=True)
    for number, path in enumerate(paths(root)):
        path.rename(path.with_name(f"renamed_{number}.tif"))
    renamed = find_tiles(root)
    shutil.copyfile(renamed[0].path, root / "copy.tif")  # stands for one lost tile only
    copies = [i for i, tile in enumerate(find_tiles(root)) if tile.id == "copy.tif"]
    few = TileSet("few", (renamed[0], *find_tiles(root).select(copies)))
    with pytest.raises(InvalidArgument, match=r"^7 of the 8 tiles"):
        index(model, few, folder, update=True)
    assert len(open_index(folder).rows) == 8
    assert index(model, renamed, folder, update=True).removed == 8


@pytest.mark.medium
@pytest.mark.parametrize(
    ("before", "now"),
    [
        (WindowChoices(8), None),
        (None, WindowChoices(8)),
        (WindowChoices(8), WindowChoices(16)),
        (WindowChoices(8, 4), WindowChoices(8, 7)),
    ],
)
def test_an_update_that_cuts_most_tiles_differently_is_refused(
    model: Model,
    root: Path,
    tmp_path: Path,
    before: WindowChoices | None,
    now: WindowChoices | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reuse, "SOON_EMBEDDED", 4)
    folder, scenes = tmp_path / "cut", SceneChoices(before)
    index(model, find_tiles(root, scenes=scenes), folder)
    count = len(open_index(folder).rows)
    today = find_tiles(root, scenes=SceneChoices(now))
    with pytest.raises(InvalidArgument, match="are not among TILES") as caught:
        index(model, today, folder, update=True)
    assert before is None or str(before) in caught.value.hint
    assert len(open_index(folder).rows) == count
    summary = index(model, today, folder, update=True, overwrite=True)
    assert summary.tiles == len(today)


def test_one_bad_new_tile_never_ends_an_update(model: Model, root: Path, folder: Path) -> None:
    (root / "bad.tif").write_bytes(b"")
    context = RunContext()
    summary = index_tiles(model, find_tiles(root), folder, context, update=True)
    assert (summary.tiles, summary.added, summary.unchanged, summary.failed) == (8, 0, 8, 1)
    assert [failure.tile_id for failure in context.failures] == ["bad.tif"]


def test_a_tile_that_went_bad_is_dropped_by_an_update(
    model: Model, root: Path, folder: Path
) -> None:
    paths(root)[2].write_bytes(b"")
    summary = index(model, find_tiles(root), folder, update=True)
    assert (summary.tiles, summary.added, summary.unchanged, summary.failed) == (7, 0, 7, 1)


@pytest.mark.medium
def test_an_update_keeps_the_tiles_that_nobody_can_see_now(
    model: Model, tiles: TileSet, root: Path, tmp_path: Path, embedded_ids: list[str]
) -> None:
    for i in (8, 9):
        shutil.copy2(tiles[i].path, root / f"{i}.tif")
    found, heard = find_tiles(root), list[Event]()
    folder = tmp_path / "index"
    index(model, found, folder)
    before, hidden = open_index(folder), Path(found[-1].id).parts[0] + "/"
    embedded_ids.clear()
    (root / "8.tif").unlink()
    seen = [i for i, t in enumerate(find_tiles(root)) if not t.id.startswith(hidden)]
    today = replace(find_tiles(root).select(seen), unseen=(hidden,))
    summary = index(model, today, folder, update=True, listener=heard.append)
    gone = len(found) - 1 - len(today)
    assert gone > 0
    assert embedded_ids == []
    assert (summary.tiles, summary.removed, summary.unchanged) == (9, 1, 9)
    [told] = [event.text for event in heard if isinstance(event, Noticed)]
    assert told.startswith(f"{gone} tiles stay")
    assert "cannot be opened" in told
    after = open_index(folder)
    assert [row.id for row in after.rows][: len(today)] == [tile.id for tile in today]
    old = {row.id: i for i, row in enumerate(before.rows)}
    for i, row in enumerate(after.rows):
        # The state of a file that was just written is not known: it may change unnoticed.
        assert replace(row, state="") == replace(before.rows[old[row.id]], state="")
        assert np.array_equal(after.vectors[i], before.vectors[old[row.id]])
    index(model, find_tiles(root), folder, update=True)
    assert embedded_ids == []
    assert_equals_rebuild(folder, model, find_tiles(root))


@pytest.mark.medium
def test_windows_of_a_scene_that_cannot_be_opened_are_kept_unless_cut_otherwise(
    model: Model, tiles: TileSet, tmp_path: Path, embedded_ids: list[str]
) -> None:
    scenes = tmp_path / "scenes"
    scenes.mkdir()
    for i in (0, 1):
        shutil.copy2(tiles[i].path, scenes / f"{i}.tif")
    halves, whole = (SceneChoices(WindowChoices(side, side)) for side in (8, 16))
    folder = tmp_path / "index"
    index(model, find_tiles(scenes, scenes=halves), folder)
    count = len(open_index(folder).rows) // 2
    content = (scenes / "1.tif").read_bytes()
    (scenes / "1.tif").write_bytes(b"")
    embedded_ids.clear()
    context = RunContext()
    today = find_tiles(scenes, scenes=halves, context=context)
    assert today.unseen == ("1.tif#",)
    summary = index(model, today, folder, update=True)
    assert (embedded_ids, summary.unchanged, summary.removed) == ([], 2 * count, 0)
    summary = index(model, find_tiles(scenes, scenes=whole, context=context), folder, update=True)
    assert summary.removed == 2 * count
    (scenes / "1.tif").write_bytes(content)


@pytest.mark.medium
@pytest.mark.parametrize(
    ("before", "now", "kept", "is_told"),
    [
        (WindowChoices(8), WindowChoices(8, 8), 4, False),
        (WindowChoices(8, 8), WindowChoices(8), 4, False),
        (WindowChoices(8), WindowChoices(8, max_nodata=0.25), 4, True),
        (WindowChoices(8, 4), WindowChoices(8), 4, True),
        (WindowChoices(8), WindowChoices(8, 4), 4, True),
        (WindowChoices(8), WindowChoices(16), 0, True),
        (WindowChoices(8), WindowChoices(8, resolution_m=3), 0, True),
    ],
)
def test_windows_that_are_still_cut_are_kept_while_their_scene_cannot_be_opened(
    model: Model,
    tiles: TileSet,
    tmp_path: Path,
    before: WindowChoices,
    now: WindowChoices,
    kept: int,
    is_told: bool,
) -> None:
    scenes, folder = tmp_path / "scenes", tmp_path / "index"
    scenes.mkdir()
    for i in (0, 1):
        shutil.copy2(tiles[i].path, scenes / f"{i}.tif")
    index(model, find_tiles(scenes, scenes=SceneChoices(before)), folder)
    (scenes / "1.tif").write_bytes(b"")
    heard = list[Event]()
    today = find_tiles(scenes, scenes=SceneChoices(now), context=RunContext())
    index(model, today, folder, update=True, listener=heard.append)
    ids = [row.id for row in open_index(folder).rows]
    assert sum(tile_id.startswith("1.tif#") for tile_id in ids) == kept
    told = [event.text for event in heard if isinstance(event, Noticed)]
    assert any("cut differently" in text for text in told) == is_told


@pytest.mark.medium
def test_ids_that_begin_otherwise_beside_another_source_cost_nothing(
    model: Model, tiles: TileSet, tmp_path: Path, embedded_ids: list[str]
) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for folder, names in ((one, "xyz"), (other, "xv")):
        folder.mkdir()
        for name in names:
            shutil.copy2(tiles[len(list(tmp_path.rglob("*.tif")))].path, folder / f"{name}.tif")
    scenes, built = SceneChoices(WindowChoices(8)), tmp_path / "index"

    def update(*sources: Path) -> IndexingSummary:
        found = find_tiles([*sources], scenes=scenes, context=RunContext())
        embedded_ids.clear()
        return index(model, found, built, update=True)

    index(model, find_tiles([one], scenes=scenes), built)
    summary = update(one, other)
    assert (summary.added, summary.removed, summary.unchanged) == (8, 0, 12)
    assert all(tile_id.startswith("other/") for tile_id in embedded_ids)
    (other / "x.tif").unlink()
    (one / "z.tif").write_bytes(b"")
    summary = update(one, other)
    assert (summary.added, summary.removed, summary.unchanged) == (0, 4, 16)
    assert {row.id.partition("#")[0] for row in open_index(built).rows} == {
        *("x.tif", "y.tif", "z.tif", "v.tif")
    }
    assert embedded_ids == []
    (one / "z.tif").unlink()
    assert update(one, other).removed == 4


def test_an_update_that_leaves_no_tile_is_refused_and_the_index_kept(
    model: Model, root: Path, folder: Path
) -> None:
    for path in paths(root):
        path.write_bytes(b"")
    with pytest.raises(NoUsableTiles, match=r"none of 8 tiles can be used"):
        index(model, find_tiles(root), folder, update=True)
    assert len(open_index(folder).rows) == 8


def test_a_strict_update_ends_at_a_bad_tile(model: Model, root: Path, folder: Path) -> None:
    (root / "bad.tif").write_bytes(b"")
    with pytest.raises(TileError, match=r"^bad\.tif: the file is empty"):
        index_tiles(model, find_tiles(root), folder, RunContext(strict=True), update=True)


def test_an_update_by_another_model_is_refused(
    other_model: Model, root: Path, folder: Path
) -> None:
    with pytest.raises(ModelMismatch, match=r"their vectors cannot be compared$"):
        index(other_model, find_tiles(root), folder, update=True)
    assert len(open_index(folder).rows) == 8


def test_an_update_of_no_index_is_refused(model: Model, root: Path, tmp_path: Path) -> None:
    with pytest.raises(IndexNotFound, match=r"holds no index"):
        index(model, find_tiles(root), tmp_path / "nowhere", update=True)


@pytest.mark.medium
def test_a_tile_that_was_only_touched_or_moved_is_not_embedded_again(
    model: Model, root: Path, folder: Path, embedded_ids: list[str]
) -> None:
    os.utime(paths(root)[0], ns=(1, 1))
    moved = root.rename(root.with_name("moved"))
    summary = index(model, find_tiles(moved), folder, update=True)
    assert embedded_ids == []
    assert (summary.added, summary.unchanged) == (0, 8)
    first = open_index(folder).rows[0]
    assert (first.path, first.mtime_ns) == (str(paths(moved)[0]), 1)
    assert_equals_rebuild(folder, model, find_tiles(moved))


def test_a_tile_changed_in_place_at_the_same_size_is_embedded_again(
    model: Model, root: Path, folder: Path, embedded_ids: list[str]
) -> None:
    tile = find_tiles(root)[3]
    content = bytearray(Path(tile.path).read_bytes())
    content[-1] ^= 1
    Path(tile.path).write_bytes(content)
    os.utime(tile.path, ns=(5, 5))
    index(model, find_tiles(root), folder, update=True)
    assert embedded_ids == [tile.id]


# Interrupted


class Interrupted(Exception):
    """Stands for a crash."""


@pytest.fixture
def interrupted(model: Model, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An index folder to be, whose first run ended after three batches of two tiles."""
    batches = []

    def failing(self: Journal, rows: list[Any], vectors: Any) -> None:
        batches.append(rows)
        append(self, rows, vectors)
        if len(batches) == 3:
            raise Interrupted

    append = Journal.append
    monkeypatch.setattr(embedding, "BATCH_SIZE", 2)
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append", failing)
        with pytest.raises(Interrupted):
            index(model, find_tiles(root), tmp_path / "late")
    return tmp_path / "late"


def test_an_interrupted_run_goes_on_where_it_stopped(
    model: Model, root: Path, interrupted: Path, embedded_ids: list[str]
) -> None:
    tiles = find_tiles(root)
    assert not interrupted.exists()
    summary = index(model, tiles, interrupted)
    assert embedded_ids == [tile.id for tile in tiles][6:]
    assert (summary.tiles, summary.added, summary.resumed) == (8, 8, 6)
    assert sorted(path.name for path in interrupted.parent.iterdir()) == ["late", "tiles"]
    assert_equals_rebuild(interrupted, model, tiles)


def test_what_changed_since_the_interruption_is_embedded_again(
    model: Model, root: Path, interrupted: Path, embedded_ids: list[str]
) -> None:
    tiles = find_tiles(root)
    shutil.copyfile(tiles[7].path, tiles[0].path)
    Path(tiles[1].path).unlink()
    index(model, find_tiles(root), interrupted)
    assert embedded_ids == [tiles[i].id for i in (0, 6, 7)]
    assert_equals_rebuild(interrupted, model, find_tiles(root))


def test_an_interrupted_run_of_another_model_is_not_gone_on_with(
    other_model: Model, root: Path, interrupted: Path, embedded_ids: list[str]
) -> None:
    index(other_model, find_tiles(root), interrupted)
    assert len(embedded_ids) == 8


def test_an_interrupted_update_goes_on_too(
    model: Model,
    tiles: TileSet,
    root: Path,
    folder: Path,
    embedded_ids: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for i in range(8, 12):
        shutil.copy2(tiles[i].path, root / f"{i}.tif")
    with monkeypatch.context() as patch:
        patch.setattr(build, "write_index", lambda *_: (_ for _ in ()).throw(Interrupted))
        with pytest.raises(Interrupted):
            index(model, find_tiles(root), folder, update=True)
    assert len(open_index(folder).rows) == 8
    embedded_ids.clear()
    summary = index(model, find_tiles(root), folder, update=True)
    assert embedded_ids == []
    assert (summary.added, summary.resumed, summary.unchanged) == (4, 4, 8)


def test_a_second_writer_is_refused(model: Model, root: Path, folder: Path) -> None:
    with only_writer(folder):
        with pytest.raises(OutputBusy, match=r"is being written by another rsretrieve$"):
            index(model, find_tiles(root), folder, update=True)
        assert len(open_index(folder).rows) == 8  # whoever reads is not kept waiting


# The content of tiles


def test_an_update_finds_files_that_swapped_their_names(
    model: Model, root: Path, folder: Path, embedded_ids: list[str]
) -> None:
    """Two files of the same size and time: only their content tells them apart."""
    first, second = sorted(root.rglob("*.tif"))[:2]
    for path in (first, second):
        path.write_bytes(path.read_bytes().ljust(40_000, b"\0"))
        os.utime(path, (1_700_000_000, 1_700_000_000))
    index(model, find_tiles(root), folder, update=True)
    before = {row.id: row.content for row in open_index(folder).rows}
    embedded_ids.clear()
    first.rename(root / "x")
    second.rename(first)
    (root / "x").rename(second)
    index(model, find_tiles(root), folder, update=True)
    names = [path.relative_to(root).as_posix() for path in (first, second)]
    assert sorted(embedded_ids) == sorted(names)
    after = {row.id: row.content for row in open_index(folder).rows}
    assert [after[name] for name in names] == [before[name] for name in reversed(names)]


@pytest.mark.parametrize("ending", [".tif.aux.xml", ".tif.msk", ".prj"])
def test_an_update_embeds_a_tile_again_whose_sidecar_is_new(
    model: Model, root: Path, folder: Path, embedded_ids: list[str], ending: str
) -> None:
    path = min(root.rglob("*.tif"))
    if ending == ".tif.msk":
        with rasterio.open(path) as image:
            shape = {"height": image.height, "width": image.width}
        mask = {"driver": "GTiff", "count": 1, "dtype": "uint8", **shape}
        with rasterio.open(path.with_suffix(ending), "w", **mask) as written:
            written.write(np.full((1, *shape.values()), 255, np.uint8))
    else:
        path.with_suffix(ending).write_text("<PAMDataset></PAMDataset>\n")
    index(model, find_tiles(root), folder, update=True)
    images = [tile_id for tile_id in embedded_ids if tile_id.endswith(".tif")]
    assert images == [path.relative_to(root).as_posix()]


@pytest.mark.parametrize("how", ["moved", "copied"])
def test_an_update_of_a_moved_or_copied_folder_embeds_nothing(
    model: Model, root: Path, folder: Path, embedded_ids: list[str], tmp_path: Path, how: str
) -> None:
    there = tmp_path / "elsewhere"
    if how == "moved":
        root.rename(there)
    else:
        shutil.copytree(root, there, copy_function=shutil.copy)
    summary = index(model, find_tiles(there), folder, update=True)
    assert (summary.unchanged, summary.added, summary.removed) == (8, 0, 0)
    assert embedded_ids == []
    assert all(row.path.startswith(str(there)) for row in open_index(folder).rows)
