"""What identifies a training."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from rsretrieve.training.run.identity import digest_arrays, weights_digest


def test_a_digest_of_tiles_hangs_on_all_that_is_learned_from_and_takes_no_copy(
    tmp_path: Path,
) -> None:
    shape = (300, 3, 32, 32)
    values = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    found = digest_arrays(values)
    mapped = np.memmap(tmp_path / "pixels", np.uint8, "w+", shape=shape)
    mapped[:] = values
    assert digest_arrays(mapped) == found
    assert digest_arrays(np.asfortranarray(values)) == found
    changed = values.copy()
    changed[-1, -1, -1, -1] ^= 1
    reshaped, signed = values.reshape(300, 3, 16, 64), values.view(np.int8)
    others = {
        digest_arrays(other) for other in (changed, reshaped, signed, values[:-1], values[::-1])
    }
    others |= {digest_arrays(values, np.arange(300)), digest_arrays(values, np.arange(300)[::-1])}
    assert len({found, *others}) == 8
    large = np.zeros((2000, 3, 32, 32), np.uint8)
    tracemalloc.start()
    digest_arrays(large)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 1 << 20 < large.nbytes


def test_the_content_of_weights_counts_not_only_their_name(tmp_path: Path) -> None:
    file, folder = tmp_path / "w.safetensors", tmp_path / "model"
    folder.mkdir()
    found = {weights_digest("imagenet"), weights_digest(str(file))}
    for content in (b"one", b"two"):
        file.write_bytes(content)
        found.add(weights_digest(str(file)))
    for name in ("model.json", "model.safetensors", "tiles.parquet"):
        (folder / name).write_bytes(b"x")
        found.add(weights_digest(str(folder)))
    (folder / "tiles.parquet").write_bytes(b"other")
    found.add(weights_digest(str(folder)))
    assert len(found) == 8
    assert weights_digest("imagenet") == "imagenet"


def test_a_keyword_is_no_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "imagenet").write_bytes(b"one")
    assert weights_digest("imagenet") == "imagenet"
