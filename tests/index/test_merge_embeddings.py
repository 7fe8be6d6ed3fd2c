"""An update of external embeddings equals a new index of the same file."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from numpy.typing import NDArray
from pyarrow import parquet

from rsretrieve.data.pixels.packing import Packing
from rsretrieve.data.profile.tile_scale import TileScale
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.data.windowing import WindowChoices
from rsretrieve.errors import InvalidArgument, ModelMismatch, NoUsableTiles, TableError
from rsretrieve.index.build import index_tiles
from rsretrieve.index.build_from_embeddings import EmbeddingUpdate, index_embeddings
from rsretrieve.index.store.folder import IndexStore, open_index
from rsretrieve.index.store.manifest import Manifest
from rsretrieve.index.vectors.choose_kind import IndexGoal
from rsretrieve.index.write import IndexBuildOptions, IndexingSummary, write_index
from rsretrieve.network.model import Model
from rsretrieve.progress import Noticed
from tests.support.indexes.vectors import unit_rows

ALL, CHANGES = EmbeddingUpdate(), EmbeddingUpdate(changes_only=True)


def write(
    path: Path, ids: list[str], vectors: list[NDArray[np.float32] | None], metadata: bytes = b"{}"
) -> Path:
    listed = [None if vector is None else vector.tolist() for vector in vectors]
    columns = {
        "id": ids,
        "label": [tile_id[0] for tile_id in ids],
        "embedding": pyarrow.array(listed, pyarrow.list_(pyarrow.float32())),
        "lon": [i % 180.0 for i in range(len(ids))],
        "lat": [1.0] * len(ids),
    }
    table = pyarrow.table(columns).replace_schema_metadata({b"rsretrieve": metadata})
    parquet.write_table(table, path)
    return path


def run(
    source: Path, folder: Path, update: EmbeddingUpdate | None = None, key: str | None = None
) -> IndexingSummary:
    goal = None if key is None else IndexGoal(key=key)
    options = IndexBuildOptions(folder, goal)
    return index_embeddings(source, None, options, RunContext(), None, update)


def content(folder: Path) -> dict[str, tuple[str | None, float | None, list[float]]]:
    store = open_index(folder)
    return {
        row.id: (row.label, row.place and row.place.centre[0], vector.tolist())
        for row, vector in zip(store.rows, store.vectors)
    }


VECTORS = dict(zip([f"{'ab'[i % 2]}{i}" for i in range(60)], unit_rows(60, 8, 0)))
NEW = unit_rows(60, 8, 1)


@pytest.mark.parametrize("key", ["Flat", "IVF4,Flat", "HNSW8"])
def test_a_file_of_all_tiles_adds_replaces_and_removes(tmp_path: Path, key: str) -> None:
    ids = list(VECTORS)
    first = write(tmp_path / "1.parquet", ids, [VECTORS[i] for i in ids])
    run(first, tmp_path / "index", None, key)
    later = {i: VECTORS[i] for i in [*ids[10:], ids[3]]}  # nine are gone
    later[ids[20]] = NEW[0]
    later |= {"new": NEW[1]}
    second = write(tmp_path / "2.parquet", list(later), list(later.values()))
    summary = run(second, tmp_path / "index", ALL)
    counts = (summary.tiles, summary.added, summary.removed, summary.unchanged)
    assert counts == (52, 2, 9, 50)
    run(second, tmp_path / "again", None, key)
    assert list(content(tmp_path / "index")) == list(later)
    assert content(tmp_path / "index") == content(tmp_path / "again")
    index = open_index(tmp_path / "index").open_vector_index()
    _, rows = index.search(np.stack([NEW[0], NEW[1], VECTORS[ids[3]]]), 1)
    names = list(later)
    assert [names[row] for row in rows[:, 0]] == [ids[20], "new", ids[3]]


@pytest.mark.parametrize("key", ["Flat", "IVF4,Flat"])
def test_a_file_of_changes_leaves_the_other_tiles(tmp_path: Path, key: str) -> None:
    ids = list(VECTORS)
    run(write(tmp_path / "1.parquet", ids, list(VECTORS.values())), tmp_path / "index", None, key)
    before = content(tmp_path / "index")
    changes = {ids[5]: NEW[0], ids[6]: VECTORS[ids[6]], ids[7]: None, "none": None, "c": NEW[2]}
    source = write(tmp_path / "2.parquet", list(changes), list(changes.values()))
    said: list[str] = []
    context = RunContext(listener=lambda e: said.append(e.text) if isinstance(e, Noticed) else None)
    options = IndexBuildOptions(tmp_path / "index")
    summary = index_embeddings(source, None, options, context, None, CHANGES)
    counts = (summary.tiles, summary.added, summary.removed, summary.unchanged)
    assert counts == (60, 2, 1, 58)
    assert any("1 tiles to remove are not in the index" in text for text in said)
    after = content(tmp_path / "index")
    assert list(after) == [*ids[:7], *ids[8:], "c"]
    assert after[ids[5]] == (ids[5][0], 0.0, NEW[0].tolist())
    assert after[ids[6]] == (ids[6][0], 1.0, VECTORS[ids[6]].tolist())  # its place is the new one
    for tile_id in set(ids) - {ids[5], ids[6], ids[7]}:
        assert after[tile_id] == before[tile_id]
    index = open_index(tmp_path / "index").open_vector_index()
    _, rows = index.search(np.stack([NEW[0], NEW[2]]), 1)
    assert [list(after)[row] for row in rows[:, 0]] == [ids[5], "c"]


def test_changes_may_only_remove(tmp_path: Path) -> None:
    ids = list(VECTORS)
    run(write(tmp_path / "1.parquet", ids, list(VECTORS.values())), tmp_path / "index")
    summary = run(write(tmp_path / "2.parquet", ids[:2], [None, None]), tmp_path / "index", CHANGES)
    assert (summary.tiles, summary.removed) == (58, 2)
    with pytest.raises(NoUsableTiles, match="all tiles"):
        run(write(tmp_path / "3.parquet", ids, [None] * 60), tmp_path / "index", CHANGES)
    assert len(content(tmp_path / "index")) == 58


def test_most_tiles_are_removed_only_with_overwrite(tmp_path: Path) -> None:
    ids, folder = list(VECTORS), tmp_path / "index"
    run(write(tmp_path / "1.parquet", ids, list(VECTORS.values())), folder)
    few = write(tmp_path / "2.parquet", ids[:9], [VECTORS[i] for i in ids[:9]])
    with pytest.raises(InvalidArgument, match="does not name 51 of the 60 tiles") as raised:
        run(few, folder, ALL)
    assert "give --overwrite, too" in raised.value.hint
    options = IndexBuildOptions(folder, overwrite=True)
    summary = index_embeddings(few, None, options, RunContext(), None, ALL)
    assert (summary.tiles, summary.removed, summary.unchanged) == (9, 51, 9)


def test_what_does_not_fit_is_refused_and_the_index_stays(tmp_path: Path) -> None:
    ids = list(VECTORS)
    run(write(tmp_path / "1.parquet", ids, list(VECTORS.values())), tmp_path / "index")
    few = write(tmp_path / "few.parquet", ids[:5], [VECTORS[i] for i in ids[:5]])
    with pytest.raises(InvalidArgument, match="does not name 55 of the 60"):
        run(few, tmp_path / "index", ALL)
    short = write(tmp_path / "short.parquet", ids, [v[:4] for v in VECTORS.values()])
    for update in (ALL, CHANGES):
        with pytest.raises(InvalidArgument, match="4 dimensions"):
            run(short, tmp_path / "index", update)
    other = b'{"model": "m", "model_fingerprint": "f"}'
    source = write(tmp_path / "other.parquet", ids, list(VECTORS.values()), other)
    with pytest.raises(ModelMismatch):
        run(source, tmp_path / "index", ALL)
    np.save(tmp_path / "v.npy", NEW)
    with pytest.raises(TableError, match="no ids"):
        run(tmp_path / "v.npy", tmp_path / "index", CHANGES)
    assert len(content(tmp_path / "index")) == 60


def test_search_parameters_are_kept_after_few_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [str(i) for i in range(1000)]
    vectors = list(unit_rows(1000, 8, 0))
    source = write(tmp_path / "1.parquet", ids, vectors)
    run(source, tmp_path / "index", None, "IVF8,Flat")
    before = open_index(tmp_path / "index").manifest
    vectors[3] = NEW[0]
    source = write(tmp_path / "2.parquet", ids, vectors)
    monkeypatch.setattr("rsretrieve.index.write.tune", lambda *_: pytest.fail("tuned again"))
    summary = run(source, tmp_path / "index", ALL)
    assert summary.search == before.search
    assert summary.recall_at_10 >= 0.95


FACTS: dict[str, Any] = {
    "provenance": {"embeddings": "elsewhere.parquet"},
    "windows": asdict(WindowChoices(16, 8, max_nodata=0.4)),
    "tile_scale": TileScale(side_px=(16.0, 16.0)).to_json(),
    "packing": Packing((1e-4,) * 6, (-0.1,) * 6).to_json(),
    "places": 7,
}


def with_all_facts(folder: Path, **more: object) -> IndexStore:
    """An index is written again with a value for each fact, and a skipped window."""
    store = open_index(folder)
    skipped = [replace(store.rows[0], id="s#0,0,16,16")]
    content = store.content()
    content = replace(content, facts={**content.facts, **FACTS, **more}, skipped=skipped)
    options = IndexBuildOptions(folder, IndexGoal("Flat"), overwrite=True)
    write_index(content, options, RunContext())
    return open_index(folder)


def assert_all_facts_are_kept(before: IndexStore, **changed: object) -> None:
    plain = Manifest("", "", "Flat", "", 1, 1, 1, {}).content_facts
    facts = before.manifest.content_facts
    assert not [name for name in facts if facts[name] == plain[name]]  # each has a value
    after = open_index(before.folder)
    assert after.manifest.content_facts == {**facts, **changed}
    assert list(after.skipped) == list(before.skipped)
    assert len(after.skipped) == 1


@pytest.fixture
def of_tiles(model: Model, tiles: TileSet, tmp_path: Path) -> IndexStore:
    """An index of tiles that holds its model."""
    index_tiles(model, tiles, tmp_path / "index", RunContext(), store_model=True)
    return with_all_facts(tmp_path / "index")


def own_metadata(store: IndexStore, **more: object) -> bytes:
    return json.dumps({"model_fingerprint": store.manifest.model_fingerprint, **more}).encode()


def test_an_index_of_tiles_keeps_its_model_and_facts_when_tiles_are_removed(
    of_tiles: IndexStore, tmp_path: Path
) -> None:
    held = {path.name: path.read_bytes() for path in (of_tiles.folder / "model").iterdir()}
    source = write(tmp_path / "gone.parquet", [of_tiles.rows[0].id], [None])
    summary = run(source, of_tiles.folder, CHANGES)
    assert (summary.removed, summary.tiles) == (1, len(of_tiles.rows) - 1)
    assert_all_facts_are_kept(of_tiles)
    there = {path.name: path.read_bytes() for path in (of_tiles.folder / "model").iterdir()}
    assert there == held
    assert open_index(of_tiles.folder).manifest.has_stored_model


@pytest.mark.parametrize("update", [ALL, CHANGES])
def test_vectors_of_its_model_change_an_index_of_tiles_and_none_of_its_facts(
    of_tiles: IndexStore, tmp_path: Path, update: EmbeddingUpdate
) -> None:
    ids = [row.id for row in of_tiles.rows]
    vectors = list(unit_rows(len(ids), of_tiles.manifest.dimensions, 0))
    for named in ({}, {"model": "/elsewhere"}, {"model": "model"}):
        metadata = own_metadata(of_tiles, **named)
        run(write(tmp_path / "v.parquet", ids, vectors, metadata), of_tiles.folder, update)
        told = json.loads(metadata)
        source = {"embeddings": str((tmp_path / "v.parquet").resolve()), **told}
        new = {} if update == CHANGES else {"provenance": source, "places": 0}
        assert_all_facts_are_kept(of_tiles, **new)
        assert open_index(of_tiles.folder).vectors[0].tolist() == vectors[0].tolist()


def test_another_models_file_changes_nothing(of_tiles: IndexStore, tmp_path: Path) -> None:
    first, width = of_tiles.rows[0].id, of_tiles.manifest.dimensions
    other = b'{"model_fingerprint": "f"}'
    new = unit_rows(1, width, 0)[0]
    for vector, metadata in ((new, b"{}"), (new, other), (None, other)):
        source = write(tmp_path / "other.parquet", [first], [vector], metadata)
        with pytest.raises(ModelMismatch):
            run(source, of_tiles.folder, CHANGES)
    assert_all_facts_are_kept(of_tiles)


def test_an_index_of_embeddings_keeps_its_facts(tmp_path: Path) -> None:
    ids = list(VECTORS)
    run(write(tmp_path / "1.parquet", ids, list(VECTORS.values())), tmp_path / "index")
    before = with_all_facts(tmp_path / "index", model="/m", model_fingerprint="f")
    run(write(tmp_path / "2.parquet", ids[:2], [None, None]), tmp_path / "index", CHANGES)
    assert_all_facts_are_kept(before)
    metadata = b'{"model": "/moved", "model_fingerprint": "f"}'
    source = write(tmp_path / "3.parquet", ids, list(VECTORS.values()), metadata)
    run(source, tmp_path / "index", ALL)
    told = {"embeddings": str(source.resolve()), **json.loads(metadata)}
    assert_all_facts_are_kept(before, model="/moved", provenance=told, places=0)


def test_a_file_that_says_its_model_lies_in_the_index_is_indexed_without_one(
    tmp_path: Path,
) -> None:
    source = write(
        tmp_path / "1.parquet", list(VECTORS), list(VECTORS.values()), b'{"model": "model"}'
    )
    run(source, tmp_path / "index")
    assert open_index(tmp_path / "index").manifest.model == ""
