"""The benchmark of speed runs, and its figures fit together."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.repository import ROOT

BENCHMARK = ROOT / "benchmarks" / "throughput.py"


def write_tiles(folder: Path) -> None:
    chance = np.random.default_rng(0)
    for label in ("meadow", "roofs"):
        (folder / label).mkdir(parents=True)
        for number in range(10):
            pixels = chance.integers(0, 255, (40, 40, 3), np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{number}.png")


@pytest.mark.slow
@pytest.mark.exhaustive
def test_it_measures_training_and_embedding_beside_the_ceiling_and_a_plain_loop(tmp_path):
    write_tiles(tmp_path / "tiles")
    options = ["--network", "shufflenet_v2_x0_5", "--size", "32", "--count", "20"]
    options += ["--batch-size", "8", "--rounds", "1", "--workers", "0", "--device", "cpu"]
    ran = subprocess.run(
        [sys.executable, str(BENCHMARK), str(tmp_path / "tiles"), *options, "--json"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    found = json.loads(ran.stdout)
    parts = found.pop("milliseconds")
    assert list(found) == [
        *("training", "training_to_plain"),
        *("embedding", "embedding_cached", "embedding_cached_to_folded", "embedding_to_plain"),
    ]
    assert all(ratio > 0 for ratio in found.values())
    assert found["embedding"] < 2  # nothing is twice as fast as the network alone
    assert list(parts) == ["read", "decode", "resize", "copy", "augment", "average"]
    assert min(parts.values()) > -0.05
    assert sum(parts.values()) > 0
