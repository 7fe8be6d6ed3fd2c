"""`rsretrieve.change`: two dates in Python."""

from __future__ import annotations

import pytest

import rsretrieve
from rsretrieve.errors import InvalidArgument, ModelMismatch, OutputExists, OutputRefused
from tests.cli.commands.finding.test_change import both, changed_ids, dates

__all__ = ["both", "dates"]


def test_the_places_that_changed_come_first(dates, tmp_path):
    found = rsretrieve.change(*dates)
    assert (len(found), found.alone_before, found.alone_after) == (120, 0, 0)
    table = found.to_dataframe()
    assert {*table["tile"][:3]} == changed_ids(dates[1])
    assert found.to_geodataframe().geometry.notna().all()
    assert "120 places" in repr(found)
    assert found.shift > 0.1
    for name in ("to_csv", "to_geojson", "to_geoparquet", "to_sheet"):
        getattr(found, name)(tmp_path / name)
        with pytest.raises(OutputExists):
            getattr(found, name)(tmp_path / name)
    found.to_geotiff(tmp_path / "m.tif")
    with pytest.raises(OutputRefused):
        found.to_csv(dates[0] / "x.csv")


def test_two_dates_of_one_index(both):
    found = rsretrieve.change(both, before_dates="2020", after_dates=("2023", None))
    assert len(found) == 120
    with pytest.raises(InvalidArgument, match="itself"):
        rsretrieve.change(both)


def test_another_model_is_refused(dates, tmp_path):
    other = rsretrieve.open_index(dates[0])
    with pytest.raises((ModelMismatch, InvalidArgument)):
        rsretrieve.change(other, other)
