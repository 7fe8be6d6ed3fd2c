"""The same answers on a GPU; skipped where there is none."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from rsretrieve.data.preprocessing.augment import augmented
from rsretrieve.data.preprocessing.preprocessing import BandStatistics, Preprocessing
from rsretrieve.network.device import Precision, best_precision, choose_device, describe_device
from rsretrieve.network.embedder import Embedder
from rsretrieve.network.network import build_network
from tests.conftest import Run

pytestmark = pytest.mark.gpu
# Two epochs teach too little for a truncated loss, which would end with an error.
SMALL = (
    *("--backbone", "resnet18", "--weights", "none", "--size", 32),
    *("--epochs", 2, "--loss", "nsl"),
)


def test_auto_is_the_gpu_and_it_computes_in_half_precision_where_it_gains():
    device = choose_device("auto")
    assert device.type == "cuda"
    assert torch.cuda.get_device_name(device) in describe_device(device)
    gains = torch.cuda.get_device_capability(device) >= (8, 0)
    assert (best_precision(device) is Precision.BFLOAT16) == gains


def test_embeddings_of_the_gpu_are_those_of_the_cpu():
    statistics = BandStatistics((90.0,) * 3, (40.0,) * 3, (0.0,) * 3, (255.0,) * 3)
    preprocessing = Preprocessing(32, 3, (1, 2, 3), "uint8", statistics)
    torch.manual_seed(0)
    network = build_network("resnet18", bands=3, size_px=32, dimensions=16)
    pixels = np.random.default_rng(0).integers(0, 255, (40, 3, 32, 32), np.uint8)

    def vectors(name: str):
        device = torch.device(name)
        embedder = Embedder(network.to(device), preprocessing, device, Precision.FLOAT32)
        return embedder.vectors(pixels)

    cosines = (vectors("cpu") * vectors("cuda")).sum(axis=1)
    assert cosines.min() > 0.9999


def test_training_runs_on_the_gpu_and_its_model_is_read_by_the_cpu(run: Run, landscape, tmp_path):
    model, index = tmp_path / "model", tmp_path / "index"
    ran = run("train", landscape, "--output", model, *SMALL, "--device", "cuda", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["device"].startswith("cuda:0 (")
    again = run("train", landscape, "--output", tmp_path / "again", *SMALL, "--device", "cuda")
    assert again.code == 0
    ran = run("index", landscape, "--model", model, "--output", index, "--device", "cpu", "--json")
    assert ran.json["device"] == "cpu"


def test_search_on_the_gpu_finds_what_the_cpu_finds():
    pytest.importorskip("faiss")
    from rsretrieve.index.vectors.faiss_loader import usable_gpu
    from rsretrieve.index.vectors.vector_index import VectorIndex

    gpu = usable_gpu("cuda:0")
    if gpu is None:
        pytest.skip("this FAISS has no GPU support")
    vectors = np.random.default_rng(0).normal(size=(5_000, 64)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    on_cpu = VectorIndex.build(vectors, "Flat")
    on_gpu = VectorIndex.build(vectors, "Flat", gpu)
    for k in (10, 3_000):
        similarities, rows = on_cpu.search(vectors[:50], k)
        similarities_there, rows_there = on_gpu.search(vectors[:50], k)
        np.testing.assert_allclose(similarities, similarities_there, atol=1e-4)
        assert (rows == rows_there).mean() > 0.99


def test_augmentation_runs_where_the_tiles_are():
    from rsretrieve.training.recipe import PAPER, ROBUST

    tiles = torch.rand(8, 3, 32, 32, device="cuda")
    generator = torch.Generator("cuda").manual_seed(0)
    for recipe in (PAPER, ROBUST):
        out = augmented(tiles, recipe.augmentation, generator, rgb=True)
        assert out.device.type == "cuda"
        assert out.shape == tiles.shape


def test_two_gpus_train_one_model(landscape, tmp_path):
    """NCCL gives each process a GPU of its own."""
    if torch.cuda.device_count() < 2:
        pytest.skip("one GPU only")
    model = tmp_path / "model"
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", 2)
    arguments = ("train", landscape, "--output", model, *SMALL, "--batch-size", 16, "--json")
    command = [sys.executable, *map(str, (*launcher, "-m", "rsretrieve", *arguments))]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert ran.returncode == 0, ran.stderr
    summary = json.loads(ran.stdout)
    assert summary["device"].startswith("cuda:0 (")
    assert summary["device"].endswith("2 processes")
    assert "note: one of 2 GPUs" not in ran.stderr
