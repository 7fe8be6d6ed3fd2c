"""Verify and repair: every byte of every file, every count, and row i is vector i."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil

from rsretrieve._core.locks import only_writer
from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.data.windowing import SceneChoices, WindowChoices
from rsretrieve.errors import (
    IndexDamaged,
    IndexNotFound,
    ModelMismatch,
    OutputBusy,
    OutputExists,
)
from rsretrieve.index.build import index_tiles
from rsretrieve.index.journal import Journal
from rsretrieve.index.maintenance.repair import Repair, repair_index
from rsretrieve.index.maintenance.verify import verify_index
from rsretrieve.index.store.folder import IndexContent, IndexStore, open_index, write_index_folder
from rsretrieve.index.store.manifest import DATA_FILES, Manifest
from rsretrieve.index.vectors.choose_kind import IndexGoal
from rsretrieve.index.vectors.vector_index import VectorIndex
from rsretrieve.network.model import Model
from tests.support.tiles.made_tiles import save_raster
from tests.support.tiles.unreadable import UNREADABLE, put_unreadable

FILES = ("manifest.json", *DATA_FILES)


@pytest.fixture
def folder(store: IndexStore, tmp_path: Path) -> Path:
    """A copy of the index that may be damaged."""
    return Path(shutil.copytree(store.folder, tmp_path / "index"))


def without_model(_: Manifest) -> Model | None:
    return None


def repaired(folder: Path, model: Model | None = None) -> Repair:
    return repair_index(folder, lambda _: model, RunContext())


def damage(path: Path, position: int | None = None, flip: int = 255) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2 if position is None else position] ^= flip
    path.write_bytes(content)


def rewritten(folder: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """An index that is sealed as it should be, of vectors that are not its tiles'."""
    store = open_index(folder)
    vectors = change(np.array(store.vectors))
    kept = ("model", "model_fingerprint", "faiss_key", "recall_at_10", "search", "goal")
    facts = {key: asdict(store.manifest)[key] for key in kept}
    index = VectorIndex.build(vectors, "Flat")
    write_index_folder(
        folder, IndexContent(list(store.rows), vectors, facts), index, overwrite=True
    )


def assert_as_before(folder: Path, store: IndexStore) -> None:
    after = open_index(folder)
    # A file that was just written when it was indexed had no state.
    assert [replace(row, state="") for row in after.rows] == [
        replace(row, state="") for row in store.rows
    ]
    assert np.abs(after.vectors - store.vectors).max() < 1e-5
    found = after.open_vector_index().search(np.array(store.vectors), 1)[1].ravel()
    assert np.array_equal(after.vectors[found], after.vectors)
    assert after.manifest.model_fingerprint == store.manifest.model_fingerprint


# Verify


@pytest.mark.medium
def test_a_sound_index_is_called_so(folder: Path, model: Model) -> None:
    found = verify_index(folder, lambda _: model)
    assert found.sound
    assert (found.problems, found.hint, found.tiles) == ((), "", 18)
    assert (found.embedded_again, found.changed_since) == (18, 0)


def test_without_its_model_all_else_is_checked(folder: Path) -> None:
    found = verify_index(folder, without_model)
    assert (found.sound, found.embedded_again) == (True, 0)


def test_even_a_space_of_the_manifest_is_vouched_for(folder: Path) -> None:
    path = folder / "manifest.json"
    for one, other in ((b'{\n  "', b'{\n \t"'), (b"}\n", b"} "), (b": ", b":\t")):
        whole = path.read_bytes()
        assert one in whole
        path.write_bytes(whole.replace(one, other, 1))
        json.loads(path.read_text())  # the same content still
        with pytest.raises(IndexDamaged, match=r"not as it was written"):
            open_index(folder)
        path.write_bytes(whole)


def test_a_vector_that_is_nearly_its_tile_s_is_told_by_the_row_that_is_more_so(
    folder: Path, model: Model
) -> None:
    def moved(vectors: np.ndarray) -> np.ndarray:
        across = np.linalg.qr(vectors[:1].T, mode="complete")[0][:, 1]
        near = 0.994 * vectors[0] + np.sqrt(1 - 0.994**2) * across
        return np.stack([near, *vectors[1:-1], vectors[0]]).astype(np.float32)

    rewritten(folder, moved)
    problems = verify_index(folder, lambda _: model).problems
    assert any("row 0 is not the vector of " in problem for problem in problems)
    assert "similarity is 0.994)" in problems[0]


@pytest.mark.parametrize("name", DATA_FILES)
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert verify_index(folder, without_model).problems == (f"{folder / name} is missing",)


def test_no_index_is_no_damage(tmp_path: Path) -> None:
    with pytest.raises(IndexNotFound):
        verify_index(tmp_path, without_model)


def test_vectors_that_are_not_their_tiles_are_told_by_embedding_a_sample(
    folder: Path, model: Model
) -> None:
    rewritten(folder, lambda vectors: -vectors)
    assert verify_index(folder, without_model).sound
    found = verify_index(folder, lambda _: model)
    assert not found.sound
    assert f"{folder}: row 0 is not the vector of " in found.problems[0]


def test_vectors_that_are_not_unit_or_not_finite_are_told(folder: Path) -> None:
    factors = np.array([1.1, np.nan, *[1] * 16], np.float32)
    rewritten(folder, lambda vectors: vectors * factors[:, None])
    found = verify_index(folder, without_model)
    assert f"{folder}: 2 vectors are not of unit length" in found.problems


def test_a_search_that_does_not_find_its_own_vectors_is_told(folder: Path) -> None:
    store = open_index(folder)
    other = VectorIndex.build(-np.array(store.vectors), "Flat")
    facts = {"model": "", "model_fingerprint": "", "faiss_key": "Flat", "recall_at_10": 1.0}
    write_index_folder(
        folder,
        IndexContent(list(store.rows), np.array(store.vectors), facts),
        other,
        overwrite=True,
    )
    found = verify_index(folder, without_model)
    assert "a search finds only" in found.problems[0]


def test_a_tile_that_stands_there_twice_is_told(folder: Path) -> None:
    store = open_index(folder)
    rows = list(store.rows)
    rows[1] = replace(rows[1], id=rows[0].id)
    facts = {"model": "", "model_fingerprint": "", "faiss_key": "Flat", "recall_at_10": 1.0}
    index = VectorIndex.build(np.array(store.vectors), "Flat")
    write_index_folder(
        folder, IndexContent(rows, np.array(store.vectors), facts), index, overwrite=True
    )
    problems = verify_index(folder, without_model).problems
    assert problems == (f"{folder}: the id {rows[0].id!r} occurs more than once in the id table",)


@pytest.mark.medium
def test_tiles_that_changed_are_work_for_an_update_and_no_damage(
    model: Model, folder: Path, tmp_path: Path
) -> None:
    row = open_index(folder).rows[0]
    (tmp_path / "tiles").mkdir()
    shutil.copy2(row.path, tmp_path / "tiles" / "a.tif")
    shutil.copy2(row.path, tmp_path / "tiles" / "b.tif")
    index_tiles(model, find_tiles(tmp_path / "tiles"), tmp_path / "small", RunContext())
    (tmp_path / "tiles" / "a.tif").write_bytes(b"changed")
    found = verify_index(tmp_path / "small", lambda _: model)
    assert (found.sound, found.embedded_again, found.changed_since) == (True, 1, 1)
    assert "--update" in found.hint


@pytest.mark.medium
@pytest.mark.parametrize("part", [False, True], ids=["VRT", "part of a file"])
def test_tiles_that_only_the_user_may_name_are_not_said_to_have_changed(
    model: Model, folder: Path, tmp_path: Path, part: bool
) -> None:
    typed = tmp_path / "a.vrt"
    rasterio.shutil.copy(open_index(folder).rows[0].path, typed, driver="VRT")
    name = f"GTIFF_DIR:1:{open_index(folder).rows[0].path}" if part else str(typed)
    tiles = find_tiles([name], scenes=SceneChoices(WindowChoices(16)))
    index_tiles(model, tiles, tmp_path / "small", RunContext())
    found = verify_index(tmp_path / "small", lambda _: model)
    assert (found.sound, found.embedded_again, found.changed_since) == (True, 0, 1)
    assert "1 sampled tiles" in found.hint
    assert "not compared" in found.hint
    assert "--update" not in found.hint


def test_another_model_is_told(folder: Path, other_model: Model) -> None:
    found = verify_index(folder, lambda _: other_model)
    assert found.problems == (f"{folder} was not built with {other_model.folder}",)


# Repair


@pytest.mark.medium
def test_nothing_is_mended_where_nothing_is_wrong(folder: Path, model: Model) -> None:
    before = {name: (folder / name).read_bytes() for name in FILES}
    repair = repaired(folder, model)
    assert repair.mended == ()
    assert repair.after.sound
    assert {name: (folder / name).read_bytes() for name in FILES} == before


@pytest.mark.parametrize("gone", [False, True])
@pytest.mark.parametrize(
    ("name", "source"), [("index.faiss", "embeddings.npy"), ("embeddings.npy", "index.faiss")]
)
def test_either_copy_of_the_vectors_mends_the_other(
    folder: Path, store: IndexStore, name: str, source: str, gone: bool
) -> None:
    if gone:
        (folder / name).unlink()
    else:
        damage(folder / name)
    repair = repaired(folder)
    assert repair.mended == (f"{name} from {source}",)
    assert repair.after.sound
    assert_as_before(folder, store)


def test_with_both_copies_damaged_the_tiles_are_embedded_again(
    folder: Path, store: IndexStore, model: Model
) -> None:
    damage(folder / "index.faiss")
    damage(folder / "embeddings.npy")
    repair = repaired(folder, model)
    assert repair.mended == ("all vectors from the tiles that the table names",)
    assert repair.after.sound
    assert_as_before(folder, store)


@pytest.mark.parametrize("gone", ["file", "folder"])
def test_no_tile_is_dropped_whose_file_is_not_there_now(
    folder: Path, model: Model, tmp_path: Path, gone: str
) -> None:
    store = open_index(folder)
    tiles = Path(shutil.copytree(Path(store.rows[0].path).parent.parent, tmp_path / "tiles"))
    index_tiles(model, find_tiles(tiles), folder, RunContext(), overwrite=True)
    whole, before = len(open_index(folder).rows), (folder / "tiles.parquet").read_bytes()
    for name in ("index.faiss", "embeddings.npy"):
        damage(folder / name)
    first = min(path for path in tiles.iterdir() if path.is_dir())
    absent = first if gone == "folder" else min(first.iterdir())
    count = len(list(first.iterdir())) if gone == "folder" else 1
    absent.rename(tmp_path / "away")
    with pytest.raises(IndexDamaged, match=rf" {count} of its {whole} tiles cannot") as caught:
        repaired(folder, model)
    assert "--overwrite" in caught.value.hint
    assert (folder / "tiles.parquet").read_bytes() == before
    if gone == "folder":
        (tmp_path / "away").rename(absent)
    repair = repair_index(folder, lambda _: model, RunContext(), overwrite=True)
    assert repair.after.sound
    assert repair.after.tiles == whole - (gone == "file")


@pytest.mark.medium
def test_an_index_with_cells_cannot_give_the_vectors_back(
    model: Model, store: IndexStore, folder: Path, tmp_path: Path
) -> None:
    tiles = find_tiles(Path(store.rows[0].path).parent.parent)
    goal = IndexGoal("IVF2,Flat")
    index_tiles(model, tiles, folder, RunContext(), goal=goal, overwrite=True)
    before = open_index(folder)
    vectors = np.array(before.vectors)
    damage(folder / "embeddings.npy")
    assert repaired(folder, model).mended == ("all vectors from the tiles that the table names",)
    after = open_index(folder)
    assert after.manifest.faiss_key == "IVF2,Flat"
    assert np.abs(after.vectors - vectors).max() < 1e-5


@pytest.mark.parametrize("vectors_only", [True, False])
def test_what_needs_a_model_says_so_where_there_is_none(folder: Path, vectors_only: bool) -> None:
    damage(folder / "embeddings.npy")
    damage(folder / "index.faiss")
    with pytest.raises(
        IndexDamaged, match=r"the model is not available to compute them again$"
    ) as caught:
        repaired(folder)
    assert f"--output {folder} --overwrite" in caught.value.hint


def test_another_model_mends_nothing(folder: Path, other_model: Model) -> None:
    damage(folder / "embeddings.npy")
    damage(folder / "index.faiss")
    with pytest.raises(ModelMismatch, match=r"was built with the model"):
        repaired(folder, other_model)


def edited(folder: Path, **changes: object) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.medium
def test_a_manifest_is_written_again_where_it_vouches_for_all_the_rest(
    folder: Path, store: IndexStore, model: Model
) -> None:
    edited(folder, model="/elsewhere", model_fingerprint="0" * 64, tiles=5, faiss_key="Flat")
    with pytest.raises(IndexDamaged) as raised:
        open_index(folder)
    assert f"--repair --model DIR --output {folder}" in raised.value.hint
    repair = repaired(folder, model)
    assert repair.mended == ("manifest.json from the other files and the model",)
    assert repair.after.sound
    assert_as_before(folder, store)
    assert open_index(folder).manifest.model == str(model.folder)


@pytest.mark.medium
@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ({}, True),
        ({"max_nodata": 0.9}, True),
        ({"stride_px": 12}, False),  # no tile says so
        ({"window_px": 12}, False),
        ({"window_px": "?"}, False),
        ({"edges": "torn"}, False),
    ],
)
def test_how_scenes_were_cut_is_kept_where_the_tiles_bear_it_out(
    tmp_path: Path, model: Model, told: dict[str, object], kept: bool
) -> None:
    values = np.random.default_rng(0).integers(1, 9999, (6, 64, 40), dtype=np.uint16)
    values[:, :, :16] = 0
    scene = save_raster(tmp_path / "a.tif", values)
    choices = SceneChoices(WindowChoices(16, 8, max_nodata=0.4))
    tiles = find_tiles(scene, scenes=choices)
    index_tiles(model, tiles, tmp_path / "index", RunContext())
    before = open_index(tmp_path / "index")
    assert len(before.skipped) > 0
    edited(tmp_path / "index", tiles=5, windows={**before.manifest.windows, **told})
    repaired(tmp_path / "index", model)
    after = open_index(tmp_path / "index")
    assert after.manifest.windows == ({**before.manifest.windows, **told} if kept else {})
    assert after.skipped == (before.skipped if kept else [])


@pytest.mark.medium
@pytest.mark.parametrize(
    ("damaged", "why"),
    [
        (["tiles.parquet"], "tiles.parquet is damaged: the tile of each vector is unknown"),
        (["manifest.json"], "manifest.json is damaged, and .* is not its model"),
        (["manifest.json", "index.faiss"], "manifest.json and index.faiss are both damaged"),
    ],
)
def test_what_cannot_be_mended_is_left_as_it_is_and_said(
    folder: Path, other_model: Model, damaged: list[str], why: str
) -> None:
    for name in damaged:
        if name == "manifest.json":
            edited(folder, tiles=17)
        else:
            damage(folder / name)
    before = {name: (folder / name).read_bytes() for name in FILES}
    with pytest.raises(IndexDamaged, match=f"^{folder} cannot be repaired: {why}$"):
        repaired(folder, other_model)
    assert {name: (folder / name).read_bytes() for name in FILES} == before


@pytest.mark.parametrize("change", ["cut", "list", "dimensions", "sha256"])
def test_a_manifest_beyond_reading_cannot_be_mended(
    folder: Path, model: Model, change: str
) -> None:
    path = folder / "manifest.json"
    if change in ("cut", "list"):
        path.write_text({"cut": path.read_text()[:200], "list": "[]"}[change])
    else:
        edited(folder, **{change: "x"})
    with pytest.raises(IndexDamaged) as opened:
        open_index(folder)
    with pytest.raises(IndexDamaged, match=r"manifest.json cannot be read$"):
        repaired(folder, model)
    assert "--repair" not in opened.value.hint


def test_rows_that_are_not_their_vectors_are_embedded_again(
    folder: Path, store: IndexStore, model: Model
) -> None:
    rewritten(folder, lambda vectors: -vectors)
    assert repaired(folder, model).mended == ("all vectors from the tiles that the table names",)
    assert_as_before(folder, store)


@pytest.mark.parametrize("finished", [True, False])
def test_the_journal_of_a_run_that_was_killed_when_all_was_written_goes(
    folder: Path, store: IndexStore, model: Model, finished: bool
) -> None:
    description = model.description
    journal = Journal(folder, description.fingerprint, description.dimensions)
    more = () if finished else (replace(store.rows[0], id="not yet in the index"),)
    rows = [*store.rows[:3], *more]
    journal.append(rows, np.array(store.vectors[: len(rows)]))
    assert repaired(folder, model).mended == ()
    assert journal.folder.exists() is not finished


@pytest.mark.parametrize("other", ["model", "windows", "damaged"])
def test_the_journal_of_another_run_stays(
    folder: Path, store: IndexStore, model: Model, other: str
) -> None:
    fingerprint = "another" if other == "model" else model.description.fingerprint
    windows = {"window_px": 8} if other == "windows" else None
    dimensions = model.description.dimensions
    journal = Journal(folder, fingerprint, dimensions, windows)
    rows = [replace(store.rows[0], id="not yet in the index"), store.rows[1]]
    journal.append(rows, np.array(store.vectors[:2]))
    if other == "damaged":
        damage(journal.folder / "rows.jsonl", 5)
    before = {path.name: path.read_bytes() for path in journal.folder.iterdir()}
    assert repaired(folder, model).mended == ()
    assert {path.name: path.read_bytes() for path in journal.folder.iterdir()} == before


@pytest.mark.parametrize("kind", UNREADABLE)
def test_what_is_no_file_is_told_and_mended_and_nobody_waits(
    folder: Path, store: IndexStore, kind: str
) -> None:
    put_unreadable(folder / "index.faiss", kind)
    assert "index.faiss" in " ".join(verify_index(folder, without_model).problems)
    if kind == "folder":  # the user made it, and may have put something into it
        with pytest.raises(OutputExists, match=r"holds index\.faiss"):
            repaired(folder)
    else:
        assert repaired(folder).mended == ("index.faiss from embeddings.npy",)
        assert_as_before(folder, store)


@pytest.mark.parametrize("kind", UNREADABLE)
def test_a_manifest_that_is_no_file_is_told_and_nobody_waits(folder: Path, kind: str) -> None:
    put_unreadable(folder / "manifest.json", kind)
    assert "manifest.json" in " ".join(verify_index(folder, without_model).problems)
    with pytest.raises(IndexDamaged, match=r"manifest\.json cannot be read"):
        repaired(folder)


def test_nothing_is_mended_while_another_writes(folder: Path) -> None:
    damage(folder / "index.faiss")
    with only_writer(folder), pytest.raises(OutputBusy):
        repaired(folder)


@pytest.mark.medium
@pytest.mark.parametrize("lost", ["index", "vectors", "both"])
def test_a_repair_keeps_what_the_index_was_built_for(
    model: Model, tiles: TileSet, tmp_path: Path, lost: str
) -> None:
    goal = IndexGoal(recall=0.9, memory_bytes=10**8, append_only=True)
    folder = tmp_path / "index"
    index_tiles(model, tiles, folder, RunContext(), goal=goal)
    before = open_index(folder).manifest
    for name in ("index.faiss", "embeddings.npy"):
        if lost == "both" or (lost == "index") == (name == "index.faiss"):
            damage(folder / name)
    assert repaired(folder, model).after.sound
    after = open_index(folder).manifest
    assert after.goal == before.goal == asdict(goal)
    assert after.faiss_key == before.faiss_key == "Flat"


@pytest.mark.medium
def test_tiles_whose_vectors_are_lost_keep_the_unit_of_the_index(
    model: Model, tmp_path: Path
) -> None:
    """Also if most tiles that are left declare another one."""
    for number in range(3):
        path = tmp_path / "tiles" / f"{number}.tif"
        values = np.random.default_rng(number).integers(1000, 9000, (6, 16, 16), np.uint16)
        save_raster(path, values)
        with rasterio.open(path, "r+") as dataset:
            dataset.scales = (1e-4 if number < 2 else 2e-4,) * 6
    folder = tmp_path / "index"
    index_tiles(model, find_tiles(tmp_path / "tiles"), folder, RunContext())
    before = open_index(folder)
    vector = np.array(before.vectors[2])
    for number in range(2):
        (tmp_path / "tiles" / f"{number}.tif").unlink()
    damage(folder / "index.faiss")
    damage(folder / "embeddings.npy")
    repair_index(folder, lambda _: model, RunContext(), overwrite=True)
    after = open_index(folder)
    assert after.manifest.packing == before.manifest.packing
    np.testing.assert_allclose(after.vectors, vector[None], atol=1e-5)
