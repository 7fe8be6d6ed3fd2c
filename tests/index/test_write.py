"""From vectors to an index folder: what is chosen, kept, said and written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rsretrieve.data.run_context import RunContext
from rsretrieve.index import write as module
from rsretrieve.index.store.folder import IndexContent, IndexStore, open_index
from rsretrieve.index.store.kept_goal import goal_from_manifest
from rsretrieve.index.store.tile_table import IndexedTile
from rsretrieve.index.vectors import fit, lists_on_disk
from rsretrieve.index.vectors.choose_kind import IndexGoal
from rsretrieve.index.vectors.vector_index import VectorIndex
from rsretrieve.index.write import (
    BuildResult,
    IndexBuildOptions,
    PreviousIndex,
    write_index,
)
from rsretrieve.progress import Event, Noticed
from tests.support.indexes.vectors import clustered_rows, unit_rows

FACTS = {"model": "/m", "model_fingerprint": "f" * 64}
Notes = list[str]
File = Callable[..., BuildResult]


def content(vectors: np.ndarray) -> IndexContent:
    rows = [IndexedTile(str(i), f"/{i}", None, 1, 1, None) for i in range(len(vectors))]
    return IndexContent(rows, vectors, FACTS)


@pytest.fixture
def notes() -> Notes:
    """What was noticed."""
    return []


@pytest.fixture
def file(tmp_path: Path, notes: Notes) -> File:
    """File vectors at `index`, and hear what is noticed."""

    def hear(event: Event) -> None:
        notes.extend([event.text] if isinstance(event, Noticed) else [])

    def file(vectors: np.ndarray, **choices: Any) -> BuildResult:
        options = IndexBuildOptions(tmp_path / "index", overwrite=True, **choices)
        return write_index(content(vectors), options, RunContext(listener=hear))

    return file


def centres_of(store: IndexStore) -> np.ndarray:
    """The centroids of the 16 cells."""
    index = store.open_vector_index(mapped=False)
    centres: np.ndarray = index.cpu_index.quantizer.reconstruct_n(0, 16)
    return centres


def quantizer_of(folder: Path) -> np.ndarray:
    """The centroids of all cells."""
    index = open_index(folder).open_vector_index(mapped=False).cpu_index
    centres: np.ndarray = index.quantizer.reconstruct_n(0, index.nlist)
    return centres


def updated(
    file: File, old: np.ndarray, new: np.ndarray, folder: Path, **choices: Any
) -> BuildResult:
    """Add vectors to the index of others."""
    origin = np.concatenate([np.arange(len(old)), np.full(len(new), -1)])
    previous = PreviousIndex(open_index(folder), origin)
    return file(np.concatenate([old, new]), previous=previous, **choices)


def test_choice_prediction_parameters_and_recall_are_in_the_manifest(
    file: File, tmp_path: Path, notes: Notes
) -> None:
    goal = IndexGoal("IVF16,SQ8", recall=0.9, memory_bytes=10**6)
    result = file(clustered_rows(3000, 16, 20, 0), goal=goal)
    manifest = open_index(tmp_path / "index").manifest
    assert manifest.faiss_key == result.faiss_key == "IVF16,SQ8"
    assert manifest.search == result.search
    assert set(result.search) == {"nprobe", "rerank"}
    assert manifest.recall_at_10 == result.recall_at_10 > 0.85
    assert manifest.predicted_bytes == result.predicted_bytes
    written = (tmp_path / "index" / "index.faiss").stat().st_size
    assert result.predicted_bytes == pytest.approx(written, rel=0.03)
    assert goal_from_manifest(manifest) == goal
    assert 0 < (manifest.similarity_floor or 0) < 1
    assert notes == []


def test_an_opened_index_searches_as_it_was_measured(file: File, tmp_path: Path) -> None:
    vectors = clustered_rows(3000, 16, 20, 0)
    result = file(vectors, goal=IndexGoal("IVF16,SQ8"))
    index = open_index(tmp_path / "index").open_vector_index()
    assert index.parameters == result.search
    similarities, rows = index.search(vectors[:50], 5)
    exact = np.einsum("qd,qkd->qk", vectors[:50], vectors[rows])
    assert similarities == pytest.approx(exact, abs=1e-5)  # ranked by the stored vectors


def test_a_plan_that_does_not_fit_is_said(file: File, notes: Notes) -> None:
    file(unit_rows(200, 16, 0), goal=IndexGoal(memory_bytes=100, recall=1))
    [note] = notes
    assert all(word in note for word in ("Flat", "0 MB", "--memory", "memory-mapped"))


def test_a_recall_that_is_not_reached_is_said(file: File, notes: Notes) -> None:
    file(unit_rows(2000, 16, 0), goal=IndexGoal("IVF4,PQ1x4", recall=1))
    assert len(notes) == 1
    assert "below the target of 1: use --index Flat for exact search" in notes[0]


def test_an_update_keeps_kind_cells_and_floor(file: File, tmp_path: Path, notes: Notes) -> None:
    old, new = clustered_rows(2000, 16, 20, 0), clustered_rows(40, 16, 20, 1)
    file(old, goal=IndexGoal("IVF16,Flat"))
    before = open_index(tmp_path / "index")
    centres = centres_of(before)
    result = updated(file, old, new, tmp_path / "index")
    after = open_index(tmp_path / "index")
    assert result.faiss_key == "IVF16,Flat"
    assert np.array_equal(centres_of(after), centres)
    assert after.manifest.similarity_floor == before.manifest.similarity_floor
    assert after.open_vector_index().search(new, 1)[1].ravel().tolist() == list(range(2000, 2040))
    assert notes == []


def test_an_update_warns_when_new_tiles_lie_off_what_was_trained_on(
    file: File, tmp_path: Path, notes: Notes
) -> None:
    old = clustered_rows(2000, 16, 20, 0)
    file(old, goal=IndexGoal("IVF16,Flat"))
    strange = -clustered_rows(40, 16, 20, 1)
    updated(file, old, strange, tmp_path / "index")
    assert len(notes) == 1
    for words in ("of 40 new tiles", "farther from the cells", "99%", "--update --index auto"):
        assert words in notes[0]


@pytest.mark.medium
def test_behind_a_transform_strange_tiles_are_told_too(
    file: File, tmp_path: Path, notes: Notes
) -> None:
    old = clustered_rows(2000, 16, 20, 0)
    file(old, goal=IndexGoal("OPQ4_16,IVF16,PQ4x4"))
    notes.clear()  # of its recall
    updated(file, old, clustered_rows(40, 16, 20, 0), tmp_path / "index")
    assert not [note for note in notes if "new tiles" in note]
    updated(file, old, -clustered_rows(40, 16, 20, 1), tmp_path / "index")
    assert any("new tiles are farther from the cells" in note for note in notes)


def test_without_cells_tiles_unlike_all_others_are_told(
    file: File, tmp_path: Path, notes: Notes
) -> None:
    old = clustered_rows(1000, 16, 20, 0)
    file(old)
    updated(file, old, old[::20], tmp_path / "index")
    assert notes == []
    file(old)
    updated(file, old, unit_rows(50, 16, 5), tmp_path / "index")
    assert len(notes) == 1
    for words in ("of 50 new tiles", "less similar", "99%", "may not have been trained on"):
        assert words in notes[0]


def test_an_update_that_is_asked_for_another_kind_builds_it(file: File, tmp_path: Path) -> None:
    old, new = clustered_rows(2000, 16, 20, 0), clustered_rows(40, 16, 20, 1)
    file(old, goal=IndexGoal("IVF16,Flat"))
    assert updated(file, old, new, tmp_path / "index", goal=IndexGoal()).faiss_key == "Flat"


@pytest.mark.parametrize(
    ("goal", "trains"),
    [(None, False), (IndexGoal("IVF16,Flat"), True), (IndexGoal("IVF16,Flat", 0.9), True)],
)
def test_an_update_trains_again_only_if_a_goal_is_given(
    file: File, tmp_path: Path, notes: Notes, goal: IndexGoal | None, trains: bool
) -> None:
    old, strange = clustered_rows(2000, 16, 20, 0), -clustered_rows(400, 16, 20, 1)
    file(old, goal=IndexGoal("IVF16,Flat"))
    before = open_index(tmp_path / "index")
    centres = centres_of(before)
    updated(file, old, strange, tmp_path / "index", goal=goal)
    after = open_index(tmp_path / "index")
    assert np.array_equal(centres_of(after), centres) is not trains
    floors = (after.manifest.similarity_floor, before.manifest.similarity_floor)
    assert (floors[0] == floors[1]) is not trains
    assert any("trains the index again" in note for note in notes) is not trains
    if trains:  # as if it were new, and again the same
        new = centres_of(after)
        for previous in (None, PreviousIndex(after, np.arange(2400))):
            file(np.concatenate([old, strange]), goal=goal, previous=previous)
            assert np.array_equal(centres_of(open_index(tmp_path / "index")), new)


@pytest.mark.parametrize("goal", [IndexGoal(), None])
def test_what_the_notice_of_strange_tiles_advises_trains_the_index_again(
    file: File,
    tmp_path: Path,
    notes: Notes,
    monkeypatch: pytest.MonkeyPatch,
    goal: IndexGoal | None,
) -> None:
    monkeypatch.setattr("rsretrieve.index.vectors.choose_kind.EXACT_UP_TO", 1000)
    old, strange = clustered_rows(2000, 16, 20, 0), -clustered_rows(400, 16, 20, 1)
    key = file(old).faiss_key
    assert key.startswith("IVF")
    centres = quantizer_of(tmp_path / "index")
    assert updated(file, old, strange, tmp_path / "index").faiss_key == key
    assert any("--update --index auto" in note for note in notes)
    whole = np.concatenate([old, strange])
    previous = PreviousIndex(open_index(tmp_path / "index"), np.arange(2400))
    assert file(whole, previous=previous, goal=goal).faiss_key == key
    assert np.array_equal(quantizer_of(tmp_path / "index"), centres) is (goal is None)


def test_an_index_that_outgrew_its_kind_stays_and_says_so(
    file: File, tmp_path: Path, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = unit_rows(500, 8, 0), unit_rows(600, 8, 1)
    file(old)
    monkeypatch.setattr("rsretrieve.index.vectors.choose_kind.EXACT_UP_TO", 1000)
    assert updated(file, old, new, tmp_path / "index").faiss_key == "Flat"
    [note] = notes
    assert all(word in note for word in ("stays Flat", "1100", "IVF16,Flat", "--index auto"))


@pytest.mark.parametrize("runs", [True, False])
def test_where_a_gpu_is_asked_for_it_is_said_whether_it_searches(
    file: File, notes: Notes, monkeypatch: pytest.MonkeyPatch, runs: bool
) -> None:
    vectors = unit_rows(100, 8, 0)
    on_cpu = VectorIndex.build(vectors, "Flat")
    monkeypatch.setattr(module.VectorIndex, "build", lambda *_: on_cpu)
    monkeypatch.setattr(module.VectorIndex, "runs_on_gpu", property(lambda _: runs))
    file(vectors, gpu=0)
    end = "on the GPU" if runs else "on the CPU: the GPU cannot hold or run it"
    assert notes == [f"Flat is searched {end}"]


@pytest.mark.parametrize(("key", "on_disk"), [("IVF16,SQ8", True), ("HNSW8", False)])
def test_the_lists_of_a_large_index_are_filled_on_the_disk(
    file: File, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, on_disk: bool
) -> None:
    filled, fill = list[int](), fit.filled_on_disk
    monkeypatch.setattr(fit, "filled_on_disk", lambda *a: filled.append(len(a[2])) or fill(*a))
    vectors = clustered_rows(3000, 16, 20, 0)
    for limit in (1 << 26, 1000):
        monkeypatch.setattr(lists_on_disk, "ON_DISK_FROM_BYTES", limit)
        result = file(vectors, goal=IndexGoal(key))
        (tmp_path / "index").rename(tmp_path / f"{limit}")
    assert filled == [3000] * on_disk
    assert result.faiss_key == key
    names = sorted(path.name for path in (tmp_path / "1000").iterdir())
    assert names == sorted(path.name for path in (tmp_path / f"{1 << 26}").iterdir())
    for name in ("index.faiss", "embeddings.npy", "tiles.parquet"):
        contents = [(tmp_path / folder / name).read_bytes() for folder in ("1000", f"{1 << 26}")]
        assert contents[0] == contents[1]
