"""Changes of made-up scenes under another season."""

from __future__ import annotations

import pytest

from benchmarks import changes as benchmark

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::rsretrieve.RsretrieveWarning"),
]


@pytest.mark.parametrize("window", [32, 64])
def test_known_changes_are_found_under_another_season(tmp_path, monkeypatch, window):
    monkeypatch.setattr(benchmark, "CELLS", 16)
    change, _, cosine = benchmark.precisions(tmp_path, window, 0.1, seed=1)
    assert change >= 0.8
    assert change > cosine
