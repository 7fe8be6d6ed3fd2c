"""An index that is not trained yet: product codes are trained without a step nobody needs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rsretrieve.index.vectors.faiss_loader import faiss_module, new_index
from tests.support.indexes.vectors import clustered_rows


def parts_with_codes(index: Any) -> list[Any]:
    """The parts of an index that a polysemous training would renumber."""
    found, parts = [], [index]
    while parts:
        part = faiss_module().downcast_index(parts.pop())
        found += [part] if hasattr(part, "do_polysemous_training") else []
        names = ("index", "base_index", "refine_index", "storage", "quantizer")
        inner = (getattr(part, name, None) for name in names)
        parts += [one for one in inner if one is not None]
    return found


@pytest.mark.parametrize(
    "key",
    [
        *("PQ8", "IVF4,PQ8", "IVF4_HNSW32,PQ8", "OPQ8,IVF4,PQ8", "PCA16,PQ8", "IDMap,PQ8"),
        *("IVF4,PQ8,Refine(SQ8)", "HNSW32_PQ8", "Flat,Refine(PQ8)", "IVF4,PQ8,Refine(PQ16)"),
        *("IVF64(PQ8),Flat", "IVF64(IVF4,PQ8),SQ8"),
    ],
)
def test_product_codes_are_trained_without_the_polysemous_step(key: str) -> None:
    faiss = faiss_module()
    parts = parts_with_codes(new_index(key, 32))
    assert parts
    assert not any(part.do_polysemous_training for part in parts)
    # FAISS itself would: https://github.com/facebookresearch/faiss/wiki/Polysemous-codes
    others = parts_with_codes(faiss.index_factory(32, key, faiss.METRIC_INNER_PRODUCT))
    assert any(part.do_polysemous_training for part in others)


def test_the_polysemous_step_changes_no_hit() -> None:
    vectors = clustered_rows(500, 8, 20, seed=0)
    faiss, found = faiss_module(), []
    for index in (
        new_index("IVF4,PQ2x4", 8),
        faiss.index_factory(8, "IVF4,PQ2x4", faiss.METRIC_INNER_PRODUCT),
    ):
        index.cp.min_points_per_centroid = index.pq.cp.min_points_per_centroid = 1
        index.train(vectors)
        index.add(vectors)
        index.nprobe = 4
        found.append(index.search(vectors[:50], 10))
    assert np.abs(found[0][0] - found[1][0]).max() < 1e-5
