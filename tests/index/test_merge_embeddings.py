"""An update of external embeddings equals a new index of the same file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow
import pytest
from numpy.typing import NDArray
from pyarrow import parquet

from rsretrieve.data.run_context import RunContext
from rsretrieve.errors import InvalidArgument, ModelMismatch, NoUsableTiles, TableError
from rsretrieve.index.build_from_embeddings import EmbeddingUpdate, index_embeddings
from rsretrieve.index.store.folder import open_index
from rsretrieve.index.vectors.choose_kind import IndexGoal
from rsretrieve.index.write import IndexBuildOptions, IndexingSummary
from rsretrieve.progress import Noticed
from tests.support.vectors import unit_rows

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
