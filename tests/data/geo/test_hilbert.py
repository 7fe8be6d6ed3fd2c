"""The Hilbert order is that of GeoPandas."""

from __future__ import annotations

import geopandas
import numpy as np

from rsretrieve.data.geo.hilbert import hilbert_distances


def test_it_is_the_order_of_geopandas() -> None:
    points = np.random.default_rng(0).uniform((-180, -90), (180, 90), (500, 2))
    points[:3] = (-180, -90), (180, 90), (0, 0)
    series = geopandas.GeoSeries.from_xy(*points.T)
    expected = series.hilbert_distance(total_bounds=(-180, -90, 180, 90), level=16)
    assert hilbert_distances(points).tolist() == expected.tolist()
