"""Batches that do not fit in memory are split, and give the same result."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rsretrieve.data.preprocessing.preprocessing import BandStatistics, Preprocessing
from rsretrieve.errors import ran_out_of_memory
from rsretrieve.network.device import Precision
from rsretrieve.network.embedder import Embedder, micro_batch_size
from rsretrieve.network.network import build_network
from rsretrieve.network.runtime.micro_batches import MicroBatcher

ON_A_PROCESSOR = RuntimeError(
    "[enforce fail at alloc_cpu.cpp:118] err == 0. DefaultCPUAllocator: can't allocate memory: "
    "you tried to allocate 9000000000000 bytes."
)


def fitting(most: int, error: Exception | None = None):
    """Work that returns its tiles if at most `most` fit, and a list of what was tried."""
    tried = []

    def work(part: slice) -> list[int]:
        tried.append((part.start, part.stop))
        if part.stop - part.start > most:
            raise error or torch.OutOfMemoryError("CUDA out of memory")
        return list(range(part.start, part.stop))

    return work, tried


def test_what_fits_is_done_at_once():
    work, tried = fitting(10)
    assert MicroBatcher(1).map(10, work) == [list(range(10))]
    assert tried == [(0, 10)]


@pytest.mark.medium
@pytest.mark.parametrize("error", [None, MemoryError(), ON_A_PROCESSOR])
def test_what_does_not_fit_is_halved_until_it_does(error):
    told = []
    micro_batcher = MicroBatcher(1, told.append)
    work, tried = fitting(3, error)
    assert [tile for part in micro_batcher.map(10, work) for tile in part] == list(range(10))
    assert told == [5, 2]
    assert micro_batcher.max_size == 2
    tried.clear()
    assert [len(part) for part in micro_batcher.map(7, work)] == [2, 2, 2, 1]
    assert tried[0] == (0, 2)  # what fitted before is where it begins


def test_micro_batches_are_never_below_the_minimum():
    micro_batcher = MicroBatcher(2)
    micro_batcher.max_size = 2
    work, _ = fitting(3)
    assert [len(part) for part in micro_batcher.map(5, work)] == [3, 2]
    assert [len(part) for part in micro_batcher.map(1, work)] == [1]


def test_what_cannot_be_divided_ends_it():
    work, tried = fitting(2)
    with pytest.raises(torch.OutOfMemoryError):
        MicroBatcher(2).map(3, work)  # 2 and 1 would be too few
    assert tried == [(0, 3)]


@pytest.mark.medium
def test_the_smallest_part_that_does_not_fit_ends_it():
    work, tried = fitting(1)
    with pytest.raises(torch.OutOfMemoryError):
        MicroBatcher(2).map(8, work)
    assert tried == [(0, 8), (0, 4), (0, 2)]
    work, tried = fitting(7)
    with pytest.raises(torch.OutOfMemoryError):
        MicroBatcher(8).map(8, work)
    assert tried == [(0, 8)]


def test_other_errors_are_not_tried_again():
    work, tried = fitting(3, RuntimeError("a bug of ours"))
    with pytest.raises(RuntimeError, match="a bug of ours"):
        MicroBatcher(1).map(8, work)
    assert len(tried) == 1


def test_running_out_of_memory_is_told_from_other_errors():
    for error in (MemoryError(), torch.OutOfMemoryError(""), ON_A_PROCESSOR):
        assert ran_out_of_memory(error)
    for text in (
        "CUDA error: out of memory",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "StandardGpuResources: alloc fail type TemporaryMemoryBuffer (cudaMalloc error out of …)",
    ):
        assert ran_out_of_memory(RuntimeError(text))
    for error in (RuntimeError("shapes differ"), ValueError("can't allocate memory")):
        assert not ran_out_of_memory(error)


@pytest.mark.medium
def test_embedding_in_micro_batches_gives_the_same(monkeypatch):
    statistics = BandStatistics((90.0,) * 3, (40.0,) * 3, (0.0,) * 3, (255.0,) * 3)
    torch.manual_seed(0)
    network = build_network("squeezenet1_1", bands=3, size_px=32, dimensions=8)
    embedder = Embedder(
        network,
        Preprocessing(32, 3, (1, 2, 3), "uint8", statistics),
        torch.device("cpu"),
        Precision.FLOAT32,
    )
    pixels = np.random.default_rng(0).integers(0, 255, (9, 3, 32, 32), np.uint8)
    whole = embedder.embed(pixels)
    as_before = network.backbone.forward

    def greedy(tiles):
        if len(tiles) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return as_before(tiles)

    monkeypatch.setattr(network.backbone, "forward", greedy)
    network.train()
    torch.testing.assert_close(embedder.embed(pixels), whole, rtol=1e-5, atol=1e-6)
    assert network.training


def test_micro_batches_fit_into_a_processors_caches(monkeypatch):
    cpu, gpu = torch.device("cpu"), torch.device("cuda", 0)
    assert [micro_batch_size(cpu, size) for size in (64, 128, 512)] == [97, 24, 8]
    assert micro_batch_size(gpu, 64) is None
    statistics = BandStatistics((90.0,) * 3, (40.0,) * 3, (0.0,) * 3, (255.0,) * 3)
    network = build_network("squeezenet1_1", bands=3, size_px=32, dimensions=8)
    preprocessing = Preprocessing(32, 3, (1, 2, 3), "uint8", statistics)
    embedder = Embedder(network, preprocessing, cpu, Precision.FLOAT32)
    sizes = []
    monkeypatch.setattr(
        network.backbone,
        "forward",
        lambda tiles: sizes.append(len(tiles)) or torch.ones(len(tiles), 512),
    )
    assert embedder.embed(np.ones((800, 3, 32, 32), np.uint8)).shape == (800, 8)
    assert sizes == [267, 267, 266]
