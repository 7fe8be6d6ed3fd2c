"""The rates of this machine: every code that `auto` chooses has them, and they are plausible."""

from __future__ import annotations

import math

import pytest

from rsretrieve.costs.audit_costs import compared_with, measure_audit
from rsretrieve.costs.machine_rates import measure_machine


@pytest.mark.slow
def test_every_step_takes_time_and_nothing_takes_forever(capfd: pytest.CaptureFixture[str]) -> None:
    codes = ("Flat", "PQ2", "RaBitQ", "SQ8")
    rates = measure_machine(16, codes)
    assert capfd.readouterr() == ("", "")  # FAISS writes its warnings itself
    assert set(rates.scan_s) == set(rates.encode_s) == set(rates.codebook_s) == set(codes)
    assert rates.codebook_s["PQ2"] > 0 == rates.codebook_s["SQ8"]
    steps = [*rates.scan_s.values(), rates.compare_s, rates.train_s, rates.graph_s, rates.exact_s]
    steps += [rates.norm_s, rates.row_s, rates.write_s, rates.digest_s]
    assert all(0 < step < 1e-2 for step in steps)
    assert 5 < rates.row_bytes < 500
    assert 0.01 <= rates.cores < 1000
    audit = measure_audit(rates)
    assert audit.base_s >= 0
    assert 0 < audit.tile_s < 1


def test_a_million_tiles_are_not_compared_with_each_other() -> None:
    assert compared_with(1000) == 1000
    assert compared_with(10**6) < 10**5
    assert math.isclose(compared_with(10**6), 10 * 1000 + 1000)
