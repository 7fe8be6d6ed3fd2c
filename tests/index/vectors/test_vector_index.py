"""FAISS behind its one door: exact search against numpy, other keys, and what goes wrong."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rsretrieve.errors import InvalidArgument, MissingPackage
from rsretrieve.index.vectors import faiss_loader as module
from rsretrieve.index.vectors import fit, vector_index
from rsretrieve.index.vectors.faiss_loader import faiss_module, usable_gpu
from rsretrieve.index.vectors.fit import spherical_kmeans
from rsretrieve.index.vectors.vector_index import VectorIndex

Vectors = NDArray[np.float32]


def unit_rows(rows: int, dimensions: int, seed: int) -> Vectors:
    vectors = np.random.default_rng(seed).standard_normal((rows, dimensions))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def cosines_by_hand(query: Vectors, gallery: Vectors) -> list[float]:
    return [sum(float(a) * float(b) for a, b in zip(query, vector)) for vector in gallery]


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 40), st.integers(1, 5), st.integers(1, 50), st.integers(0, 1000))
def test_flat_search_is_exact(rows: int, queries: int, k: int, seed: int) -> None:
    gallery, asked = unit_rows(rows, 6, seed), unit_rows(queries, 6, seed + 1)
    similarities, found = VectorIndex.build(gallery, "Flat").search(asked, k)
    assert similarities.shape == found.shape == (queries, min(k, rows))
    for query, hits, similar in zip(asked, found.tolist(), similarities.tolist()):
        cosines = cosines_by_hand(query, gallery)
        assert similar == pytest.approx(sorted(cosines, reverse=True)[:k], abs=1e-5)
        assert similar == pytest.approx([cosines[row] for row in hits], abs=1e-5)
        assert len(set(hits)) == len(hits)


def test_ties_stand_in_the_order_of_rows() -> None:
    once = np.array([[1, 0], [0, 1], [-1, 0]], np.float32)
    gallery = np.concatenate([once, once, once])
    _, rows = VectorIndex.build(gallery, "Flat").search(once[:1], 9)
    assert rows.tolist() == [[0, 3, 6, 1, 4, 7, 2, 5, 8]]


def test_ties_that_are_cut_off_still_stand_in_the_order_of_rows() -> None:
    gallery = np.ones((9, 1), np.float32)
    _, rows = VectorIndex.build(gallery, "Flat").search(gallery[:1], 4)
    assert rows[0].tolist() == sorted(rows[0].tolist())


@pytest.mark.parametrize("key", ["Flat", "IVF8,Flat"])
def test_of_many_ties_at_the_last_rank_a_batch_takes_what_one_query_takes(key: str) -> None:
    """Whichever of the ties FAISS chooses, it is the same in a batch of any size."""
    few = unit_rows(40, 8, 0)
    gallery = few[np.random.default_rng(1).integers(0, 40, 2000)]
    index = VectorIndex.build(gallery, key)
    similarities, rows = index.search(np.repeat(few, 30, axis=0), 12)
    assert (np.diff(similarities, axis=1) <= 0).all()
    assert (gallery[rows[:, 0]] == np.repeat(few, 30, axis=0)).all()
    for i in range(len(few)):
        one = index.search(few[i : i + 1], 12)[1]
        assert (rows[30 * i : 30 * i + 30] == one).all()


def test_more_hits_than_vectors_are_all_of_them() -> None:
    similarities, rows = VectorIndex.build(unit_rows(3, 4, 0), "Flat").search(unit_rows(2, 4, 1), 9)
    assert similarities.shape == (2, 3)
    assert sorted(rows[0].tolist()) == [0, 1, 2]


@pytest.mark.parametrize(
    "key", ["Flat", "IVF4,Flat", "HNSW8", "SQ8", "IVF4,RaBitQ", "IVF4,PQ4x4fs"]
)
def test_an_index_of_any_key_survives_its_file(tmp_path: Path, key: str) -> None:
    gallery, queries = unit_rows(200, 8, 0), unit_rows(7, 8, 1)
    built = VectorIndex.build(gallery, key)
    built.write(tmp_path / "index.faiss")
    read = VectorIndex.read(tmp_path / "index.faiss")
    for one, other in zip(built.search(queries, 10), read.search(queries, 10)):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("key", ["Flat", "IVF4,Flat", "IVF4,SQ8", "HNSW8", "IVF4,RaBitQ"])
def test_an_index_that_stays_in_its_file_finds_the_same(tmp_path: Path, key: str) -> None:
    gallery, queries = unit_rows(300, 8, 0), unit_rows(7, 8, 1)
    built = VectorIndex.build(gallery, key)
    built.write(tmp_path / "index.faiss")
    mapped = VectorIndex.read(tmp_path / "index.faiss", mapped=True)
    for one, other in zip(built.search(queries, 10), mapped.search(queries, 10)):
        assert np.array_equal(one, other)


@pytest.mark.medium
@pytest.mark.parametrize("key", ["IVF4,SQ8", "IVF2,PQ2", "SQ4", "IVF4,RaBitQ", "IVF4,PQ4x4fsr"])
def test_candidates_are_ranked_again_by_the_stored_vectors(key: str) -> None:
    gallery, queries = unit_rows(400, 8, 0), unit_rows(9, 8, 1)
    index = VectorIndex.build(gallery, key)
    assert index.is_lossy
    if index.search_parameter is not None:
        index.set_parameter("nprobe", index.search_parameter.maximum)
    index.set_parameter("rerank", 40)  # every vector is a candidate
    similarities, rows = index.search(queries, 10)
    for query, hits, similar in zip(queries, rows.tolist(), similarities.tolist()):
        cosines = cosines_by_hand(query, gallery)
        assert similar == pytest.approx(sorted(cosines, reverse=True)[:10], abs=1e-5)
        assert similar == pytest.approx([cosines[row] for row in hits], abs=1e-5)


def test_short_vectors_count_as_compressed_by_bits_although_their_codes_are_longer() -> None:
    index = VectorIndex.build(unit_rows(300, 2, 0), "IVF4,RaBitQ")
    assert index.is_lossy
    assert not VectorIndex.build(unit_rows(300, 2, 0), "IVF4,Flat").is_lossy


def test_an_index_of_bits_takes_new_vectors_and_drops_old_ones() -> None:
    """As if the vectors that are there now were encoded with the same cells."""
    vectors, new = unit_rows(400, 16, 0), unit_rows(30, 16, 1)
    index = VectorIndex.build(vectors, "IVF4,RaBitQ")
    origin = np.concatenate([np.arange(399, 100, -1), np.full(30, -1)])
    now = np.concatenate([vectors[origin[:299]], new])
    assert index.update_rows(origin, now)
    assert len(index) == 329
    index = VectorIndex(index.cpu_index, None, now, {"nprobe": 4, "rerank": 40})
    similarities, rows = index.search(now, 1)
    assert rows[:, 0].tolist() == list(range(329))
    assert similarities[:, 0] == pytest.approx(1, abs=1e-5)


def test_ranking_again_in_blocks_is_ranking_again(monkeypatch: pytest.MonkeyPatch) -> None:
    gallery, queries = unit_rows(400, 8, 0), unit_rows(9, 8, 1)
    index = VectorIndex.build(gallery, "IVF4,SQ8")
    index.set_parameter("rerank", 4)
    whole = index.search(queries, 10)
    monkeypatch.setattr(vector_index, "RERANKED", 1)
    assert all(np.array_equal(a, b) for a, b in zip(whole, index.search(queries, 10)))


def test_too_few_candidates_ranked_again_still_fill_up_with_row_minus_one() -> None:
    gallery = unit_rows(200, 8, 0)
    index = VectorIndex.build(gallery, "IVF10,SQ8")
    index.set_parameter("rerank", 2)
    similarities, rows = index.search(gallery[:3], 150)
    there = rows >= 0
    assert (there.sum(axis=1) >= 20).all()  # of a cell or so
    assert not there.all()
    assert (np.diff(there.astype(int), axis=1) <= 0).all()
    assert (np.diff(similarities, axis=1) <= 0).all()


@pytest.mark.parametrize("key", ["IVF4,Flat", "HNSW8"])
def test_approximate_hits_have_falling_true_similarities(key: str) -> None:
    gallery, queries = unit_rows(200, 8, 0), unit_rows(7, 8, 1)
    similarities, rows = VectorIndex.build(gallery, key).search(queries, 5)
    assert (np.diff(similarities, axis=1) <= 0).all()
    for query, hits, cosines in zip(queries, rows, similarities):
        assert cosines.tolist() == pytest.approx((gallery[hits] @ query).tolist(), abs=1e-5)


def test_an_index_that_finds_too_few_fills_up_with_row_minus_one() -> None:
    gallery = unit_rows(200, 8, 0)
    _, rows = VectorIndex.build(gallery, "IVF10,Flat").search(gallery[:3], 200)
    there = rows >= 0
    assert not there.all()
    assert (np.diff(there.astype(int), axis=1) <= 0).all()  # only at the end


def test_vectors_of_another_layout_are_taken() -> None:
    gallery = np.asfortranarray(unit_rows(5, 4, 0)).astype(np.float64)
    _, rows = VectorIndex.build(gallery, "Flat").search(gallery[::2], 1)  # type: ignore[arg-type]
    assert rows.tolist() == [[0], [2], [4]]


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("nonsense", "could not parse index string nonsense"),
        ("", "could not parse index string"),
        ("IVF400,Flat", "400 cells; there can be 1 to"),
        ("PQ3", "should be a multiple of the number of subquantizers"),
    ],
)
def test_a_key_that_faiss_cannot_build_is_refused(key: str, reason: str) -> None:
    message = rf"^FAISS cannot build '{key}' over 20 vectors \(.*{reason}"
    with pytest.raises(InvalidArgument, match=message) as caught:
        VectorIndex.build(unit_rows(20, 8, 0), key)
    assert caught.value.hint == (
        "give --index Flat, which is exact and always fits, or another FAISS key"
    )


@pytest.mark.parametrize("content", [None, b"", b"IxFI" + bytes(20)], ids=["none", "empty", "cut"])
def test_a_file_that_is_no_index_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "index.faiss"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"^cannot be read \("):
        VectorIndex.read(path)


# Clusters


def test_vectors_that_lie_apart_are_clustered_apart() -> None:
    centres = np.eye(4, dtype=np.float32)
    noise = 0.05 * np.random.default_rng(0).standard_normal((40, 4)).astype(np.float32)
    vectors = np.repeat(centres, 10, axis=0) + noise
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    clusters = spherical_kmeans(vectors, 4, seed=0)
    groups = [set(clusters[i : i + 10].tolist()) for i in range(0, 40, 10)]
    assert [len(group) for group in groups] == [1] * 4
    assert set.union(*groups) == {0, 1, 2, 3}


def test_clusters_hang_on_the_seed_alone() -> None:
    vectors = unit_rows(60, 4, 0)
    assert np.array_equal(
        spherical_kmeans(vectors, 6, seed=1), spherical_kmeans(vectors, 6, seed=1)
    )
    assert not np.array_equal(
        spherical_kmeans(vectors, 6, seed=1), spherical_kmeans(vectors, 6, seed=2)
    )


def test_as_many_clusters_as_vectors_are_one_each() -> None:
    assert sorted(spherical_kmeans(unit_rows(5, 4, 0), 5, seed=0).tolist()) == [0, 1, 2, 3, 4]


# GPUs, and no FAISS at all


@pytest.mark.parametrize(
    ("device", "gpus", "usable"),
    [("cpu", 2, None), ("cuda", 2, 0), ("cuda:1", 2, 1), ("cuda:2", 2, None), ("cuda:0", 0, None)],
)
def test_a_gpu_is_usable_where_faiss_sees_it(
    monkeypatch: pytest.MonkeyPatch, device: str, gpus: int, usable: int | None
) -> None:
    fake = SimpleNamespace(get_num_gpus=lambda: gpus)
    monkeypatch.setattr(module, "faiss_module", lambda: fake)
    assert usable_gpu(device) == usable


class OnGpu:
    """Stands for an index on a GPU: it notes what it is asked."""

    def __init__(self, index: Any, half: bool, room: int | None = None) -> None:
        # FAISS makes a copy of it; what is built there is not the one that was given.
        self.index = faiss_module().clone_index(index)
        self.half, self.room, self.is_trained = half, room, index.is_trained
        self.train = self.index.train
        self.asked: list[int] = []
        self.ntotal = index.ntotal

    def add(self, vectors: Vectors) -> None:
        if self.room is not None and self.index.ntotal + len(vectors) > self.room:
            raise RuntimeError("Error: 'err == cudaSuccess' failed: out of memory")
        self.index.add(vectors)

    def __setattr__(self, name: str, value: Any) -> None:
        allowed = ("index", "half", "room", "is_trained", "train", "asked", "ntotal")
        if name not in (*allowed, "referenced_objects"):  # as FAISS has it since 1.15
            raise AttributeError(name)
        object.__setattr__(self, name, value)

    def search(self, queries: Vectors, k: int) -> tuple[Any, Any]:
        self.asked.append(k)
        return self.index.search(queries, k)


class FakeFaiss:
    """FAISS with a GPU that is made believe; what it cannot do there, it says as FAISS does."""

    def __init__(self, free: int) -> None:
        self.free, self.set_on_gpu = free, []
        self.room: int | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(faiss_module(), name)

    GpuClonerOptions = staticmethod(lambda: SimpleNamespace(useFloat16=False))
    StandardGpuResources = object

    def GpuParameterSpace(self) -> Any:  # noqa: N802
        return SimpleNamespace(
            set_index_parameter=lambda _, name, value: self.set_on_gpu.append((name, value))
        )

    def index_cpu_to_gpu(self, _: object, __: int, index: Any, options: Any) -> OnGpu:
        if "HNSW" in type(faiss_module().downcast_index(index)).__name__:
            raise RuntimeError("This index type is not implemented on GPU.")
        ivf = faiss_module().downcast_index(index)
        if isinstance(ivf, faiss_module().IndexIVFPQ):  # as GpuIndexIVFPQ checks it
            table_bytes = ivf.pq.M * 256 * (2 if options.useFloat16 else 4)
            if table_bytes > 49152:
                raise RuntimeError("Device 0 has 49152 bytes of shared memory")
        return OnGpu(index, options.useFloat16, self.room)

    @staticmethod
    def index_gpu_to_cpu(on_gpu: OnGpu) -> Any:
        return on_gpu.index


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> FakeFaiss:
    """A GPU with room for a megabyte."""
    fake = FakeFaiss(free=1_000_000)
    for user in (module, fit, vector_index):
        monkeypatch.setattr(user, "faiss_module", lambda: fake)
    monkeypatch.setattr(module, "free_bytes", lambda _: fake.free)
    return fake


@pytest.mark.parametrize(("k", "asked"), [(2048, [2048]), (2049, [])])
def test_more_hits_than_a_gpu_can_give_are_found_by_the_cpu(
    gpu: FakeFaiss, k: int, asked: list[int]
) -> None:
    index = VectorIndex.build(unit_rows(3000, 4, 0), "Flat", gpu=0)
    _, rows = index.search(unit_rows(1, 4, 1), k)
    assert rows.shape == (1, k)
    assert index._gpu_index.asked == asked


def full(*_: object) -> Any:
    raise RuntimeError("CUDA error: out of memory")


def test_a_gpu_that_is_full_at_a_search_leaves_it_to_the_cpu(
    gpu: FakeFaiss, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = unit_rows(3000, 4, 0)
    index = VectorIndex.build(vectors, "Flat", gpu=0)
    monkeypatch.setattr(OnGpu, "search", full)
    _, rows = index.search(vectors[:5], 1)
    assert rows[:, 0].tolist() == [0, 1, 2, 3, 4]
    assert not index.runs_on_gpu


@pytest.mark.parametrize("fails", ["free_bytes", "StandardGpuResources"])
def test_a_gpu_that_cannot_be_used_is_no_damage_of_an_index(
    gpu: FakeFaiss, fails: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = unit_rows(300, 4, 0)
    VectorIndex.build(vectors, "Flat").write(tmp_path / "index.faiss")
    monkeypatch.setattr(module if fails == "free_bytes" else gpu, fails, full, raising=False)
    index = VectorIndex.read(tmp_path / "index.faiss", gpu=0)
    assert not index.runs_on_gpu
    assert index.search(vectors[:1], 1)[1].tolist() == [[0]]


def test_an_index_that_comes_back_from_a_gpu_as_another_kind_is_filled_by_the_cpu(
    gpu: FakeFaiss, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = unit_rows(300, 4, 0)
    flat = faiss_module().index_factory(4, "Flat")
    flat.add(vectors)
    monkeypatch.setattr(gpu, "index_gpu_to_cpu", lambda _: flat)
    index = VectorIndex.build(vectors, "SQfp16", gpu=0)
    assert index.cpu_index.sa_code_size() == 8
    assert len(index) == 300


@pytest.mark.parametrize(
    ("free", "runs", "half"),
    [(3000 * 16, True, False), (30_000, True, True), (20_000, False, None)],
)
def test_half_precision_is_used_on_a_gpu_when_it_must_be_and_only_there(
    gpu: FakeFaiss, free: int, runs: bool, half: bool | None
) -> None:
    gpu.free = free
    vectors = unit_rows(3000, 4, 0)
    index = VectorIndex.build(vectors, "Flat", gpu=0)
    assert index.runs_on_gpu == runs
    assert (index._gpu_index.half if runs else None) == half
    assert np.array_equal(index.reconstruct(), vectors)


def test_what_has_no_form_on_a_gpu_is_built_and_searched_by_the_cpu(gpu: FakeFaiss) -> None:
    index = VectorIndex.build(unit_rows(300, 4, 0), "HNSW8", gpu=0)
    assert not index.runs_on_gpu
    assert index.search(unit_rows(1, 4, 1), 3)[1].shape == (1, 3)


def test_parameters_are_set_on_both_and_within_what_a_gpu_takes(gpu: FakeFaiss) -> None:
    index = VectorIndex.build(unit_rows(3000, 4, 0), "IVF10,Flat", gpu=0)
    index.set_parameter("nprobe", 7)
    assert gpu.set_on_gpu == [("nprobe", 7)]
    assert faiss_module().extract_index_ivf(index.cpu_index).nprobe == 7
    index.cpu_index.nlist = 5000
    assert index.search_parameter is not None
    assert index.search_parameter.maximum == 2048


def test_lists_of_whole_vectors_that_do_not_fit_stay_on_the_cpu(gpu: FakeFaiss) -> None:
    built = VectorIndex.build(unit_rows(3000, 4, 0), "IVF10,Flat").cpu_index
    assert VectorIndex(built, 0).runs_on_gpu
    gpu.free = 30_000  # there would be room for half of it, and there is no such form
    assert not VectorIndex(built, 0).runs_on_gpu


def test_long_product_codes_look_up_in_half_precision(gpu: FakeFaiss) -> None:
    for key, half in (("IVF4,PQ64", True), ("IVF4,SQ8", False)):
        index = faiss_module().index_factory(128, key, faiss_module().METRIC_INNER_PRODUCT)
        there = module.on_gpu(index, 0, 0, exact=True)
        assert there is not None
        assert there.half == half


def test_what_runs_out_of_memory_on_the_gpu_is_built_by_the_cpu(
    gpu: FakeFaiss, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu.room = 1000
    monkeypatch.setattr(fit, "train_cells", lambda index, sample, _: index.train(sample))
    vectors = unit_rows(3000, 4, 0)
    index = VectorIndex.build(vectors, "IVF10,Flat", gpu=0)
    assert len(index) == 3000
    index.set_parameter("nprobe", 10)
    assert np.array_equal(np.sort(index.search(vectors[:50], 1)[1][:, 0]), np.arange(50))


def test_more_cells_than_a_gpu_probes_are_searched_by_the_cpu(gpu: FakeFaiss) -> None:
    built = VectorIndex.build(unit_rows(3000, 4, 0), "IVF10,Flat").cpu_index
    assert VectorIndex(built, 0, parameters={"nprobe": 2048}).runs_on_gpu
    assert not VectorIndex(built, 0, parameters={"nprobe": 2049}).runs_on_gpu


def test_without_faiss_the_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    message = "^this command needs FAISS, which is not installed$"
    with pytest.raises(MissingPackage, match=message) as caught:
        faiss_module()
    assert caught.value.hint == "pip install faiss-gpu (Linux x86-64), or faiss-cpu elsewhere"
