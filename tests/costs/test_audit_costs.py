"""What an audit is predicted to take, by plain arithmetic."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rsretrieve.costs.audit_costs import AuditRates, compared_by_pixels, predict_audit
from rsretrieve.costs.cost import Cost
from rsretrieve.costs.tile_rates import TileRates
from tests.costs.test_predict_index import RATES

AUDIT = AuditRates(base_s=0.5, tile_s=0.001)
TILES = TileRates(
    *(256, 0.002, 0.004, 0.005, 128),
    **{"pixels": Cost(0.002, 0.003), "start": Cost(7.0, 5.0), "peak_bytes": 10**9},
)


def test_an_audit_is_the_sum_of_its_steps() -> None:
    found = predict_audit(RATES, AUDIT, 1000, TILES)
    assert found.seconds == pytest.approx(
        {
            **{"starting": 7, "reading and embedding": 4, "finding neighbours": 0.001},
            **{"estimating": 1.5, "comparing pixels": 0},
        }
    )
    assert found.processor_seconds == pytest.approx(5 + 5 + 0.001 + 1.5)
    assert found.memory_bytes == 10**9 + 1000 * (2600 + 512)


def test_tiles_with_a_neighbour_of_another_label_are_read_again() -> None:
    # Of 20 neighbours, each has another label with probability 0.1.
    share = 1 - 0.9**20
    assert compared_by_pixels(0.1) == pytest.approx(share)
    one, other = (
        predict_audit(RATES, AUDIT, 1000, t) for t in (replace(TILES, contrary=0.1), TILES)
    )
    assert one.seconds["comparing pixels"] == pytest.approx(2 * share)
    assert one.processor_seconds - other.processor_seconds == pytest.approx(3 * share)
    assert compared_by_pixels(1.0) == 1


def test_embeddings_that_are_given_need_no_tiles() -> None:
    found = predict_audit(RATES, AUDIT, 1000, None)
    assert set(found.seconds) == {"starting", "finding neighbours", "estimating"}
    assert found.seconds["starting"] == 0
    assert found.read_bytes == 0
