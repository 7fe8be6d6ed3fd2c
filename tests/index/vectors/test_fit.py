"""Indexes with cells, brought up to date without training: as good as filled anew."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsretrieve.data.loading import batches
from rsretrieve.data.loading.batches import mapped_room
from rsretrieve.errors import InvalidArgument
from rsretrieve.index.vectors import fit
from rsretrieve.index.vectors.key_checks import check_key
from rsretrieve.index.vectors.vector_index import VectorIndex
from tests.support.indexes.vectors import clustered_rows, unit_rows


@pytest.mark.medium
@settings(deadline=None, max_examples=15)
@given(
    st.sampled_from(["IVF8,Flat", "IVF8,SQ8", "IVF8,PQ4x4", "PCA8,IVF8,Flat", "IVF8,RaBitQ"]),
    st.integers(0, 300),
    st.integers(0, 60),
    st.integers(0, 1000),
)
def test_rows_move_go_and_come(key: str, stay: int, come: int, seed: int) -> None:
    chance = np.random.default_rng(seed)
    old, new = unit_rows(300, 16, seed), unit_rows(60, 16, seed + 1)
    index = VectorIndex.build(old, key)
    origin = np.concatenate([chance.permutation(300)[:stay], np.full(come, -1)])
    chance.shuffle(origin)
    vectors = np.empty((len(origin), 16), np.float32)
    vectors[origin >= 0] = old[origin[origin >= 0]]
    vectors[origin < 0] = new[:come]
    assert index.update_rows(origin, vectors)
    assert len(index) == len(origin)
    if not len(origin):
        return
    index.set_parameter("nprobe", 8)
    similarities, found = index.search(vectors, len(origin))
    assert all(sorted(rows) == list(range(len(origin))) for rows in found.tolist())
    if key == "IVF8,Flat":  # nothing of a vector is lost
        exact = np.take_along_axis(vectors @ vectors.T, found, 1)
        assert similarities == pytest.approx(exact, abs=1e-5)
        assert np.allclose(similarities[:, 0], 1, atol=1e-5)


@pytest.mark.parametrize(
    "key",
    [
        "Flat",
        "HNSW8",
        "IVF8,PQ4x4fs",
        "IVF8,PQ4x4,RFlat",
        "IVF8,Flat,Refine(SQ8)",
        "IVF8,FlatDedup",
    ],
)
def test_kinds_that_cannot_be_are_left_as_they_are(key: str) -> None:
    vectors = unit_rows(600, 16, 0)
    index = VectorIndex.build(vectors, key)
    before = index.search(vectors[:5], 3)
    assert not index.update_rows(np.arange(599, -1, -1), vectors)
    assert all(np.array_equal(a, b) for a, b in zip(before, index.search(vectors[:5], 3)))


def test_vectors_are_as_similar_to_the_centre_of_their_cell_as_to_no_other() -> None:
    vectors = clustered_rows(800, 16, 8, 0)
    index = VectorIndex.build(vectors, "IVF8,Flat")
    centres = index.cpu_index.quantizer.reconstruct_n(0, 8)
    expected = (vectors[:50] @ centres.T).max(axis=1)
    assert index.centroid_similarities(vectors[:50]) == pytest.approx(expected, abs=1e-5)
    for key in ("Flat", "HNSW8"):
        assert VectorIndex.build(vectors, key).centroid_similarities(vectors[:5]) is None


@pytest.mark.medium
def test_building_is_quiet_however_little_there_is_to_train_on(
    capfd: pytest.CaptureFixture[str],
) -> None:
    plain = ("IVF16,Flat", "IVF16,PQ4x4", "PQ1", "HNSW8_PQ4x4", "IVF64(PQ2x4),Flat")
    rotated = ("OPQ4,PQ4x4", "OPQ2,IVF4,PQ2x4", "RQ2x4", "IVF4,RQ2x4", "PRQ2x2x4", "IVF4,PRQ2x2x4")
    for key in (*plain, *rotated):
        check_key(key, 16)
        VectorIndex.build(unit_rows(300, 16, 0), key)
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


@pytest.mark.parametrize(
    "key",
    [
        *("Flat", "IVF4096,Flat", "HNSW32", "PQ4", "IVF65536_HNSW32,PQ8x4fs", "NSG16"),
        *("PQ4x12", "OPQ4,IVF4096,PQ4", "IVF64(PQ2x4),Flat", "IVF200_NSG8,Flat", "PQ4,RFlat"),
    ],
)
def test_kinds_that_faiss_knows_pass_before_there_are_vectors(key: str) -> None:
    check_key(key, 16)


@pytest.mark.parametrize(
    ("key", "hint"), [("Flatt", "Flat"), ("HNWS32", "HNSW32"), ("IVF256;Flat", "IVF256,Flat")]
)
def test_a_misspelt_kind_is_told_with_those_near(key: str, hint: str) -> None:
    with pytest.raises(InvalidArgument, match="cannot build") as caught:
        check_key(key, 16)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    "key",
    ["IDMap,Flat", "IDMap2,HNSW16", "PCA8,IDMap,IVF4,Flat", "IVF8(PQ2x4),Flat", "IVF8_NSG8,Flat"],
)
def test_a_kind_that_cannot_be_filled_is_told_before_there_are_vectors(key: str) -> None:
    with pytest.raises(InvalidArgument, match="cannot build"):
        VectorIndex.build(unit_rows(300, 16, 0), key)
    with pytest.raises(InvalidArgument, match="cannot build"):
        check_key(key, 16)


def test_more_cells_than_tiles_are_told_before_these_are_embedded() -> None:
    with pytest.raises(InvalidArgument, match="there can be 1 to 100"):
        check_key("IVF256,Flat", 16, 100)


@pytest.mark.parametrize("key", ["IVF8,Flat", "IVF8,SQ8"])
def test_an_index_is_the_same_if_its_sample_lies_on_the_disk(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = clustered_rows(800, 16, 8, 0)
    VectorIndex.build(vectors, key).write(tmp_path / "memory")
    monkeypatch.setattr(fit, "SAMPLE_IN_MEMORY_BYTES", 0)
    monkeypatch.setattr(fit, "ADD_BLOCK", 300)
    rooms = list[tuple[int, ...]]()
    monkeypatch.setattr(batches, "mapped_room", lambda *a: rooms.append(a[0]) or mapped_room(*a))
    VectorIndex.build(vectors, key).write(tmp_path / "disk")
    assert rooms == [(800, 16)]
    assert (tmp_path / "disk").read_bytes() == (tmp_path / "memory").read_bytes()
