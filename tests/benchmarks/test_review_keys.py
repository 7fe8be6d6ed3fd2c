"""The scripted reviewer of the audit page types what gives a tile its label."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

from tests.support.repository import ROOT

CLASSES = ["forest", "harbor", "river", "road"]


@pytest.fixture
def benchmark() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        yield import_module("review_keys")


@pytest.mark.parametrize(
    ("label", "keys"),
    [
        ("river", ["a"]),
        ("road", ["r"]),
        ("forest", ["b"]),
        ("harbor", ["c", "h", "Enter"]),
    ],
)
def test_a_label_has_its_keys(benchmark: Any, label: str, keys: list[str]) -> None:
    card = benchmark.Card(0, "a.png", "road", "river", "forest", "wrong_label")
    assert benchmark.keys_for(card, label, CLASSES) == keys


def test_exactly_the_share_of_labels_is_wrong(benchmark: Any) -> None:
    true = {f"{n}.png": CLASSES[n % 4] for n in range(100)}
    given = benchmark.noisy_labels(true, 0.2, seed=0)
    assert sum(given[tile] != label for tile, label in true.items()) == 20
    believed = benchmark.beliefs(true, 0.0, seed=0)
    assert believed == true
