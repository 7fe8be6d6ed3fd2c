"""A second date of a landscape."""

from __future__ import annotations

import numpy as np
import pytest

from rsretrieve.errors import InvalidArgument
from rsretrieve.synthetic.scene import make_landscape
from rsretrieve.synthetic.seasons import changed_landscape

ONE, OTHER = make_landscape(6, 16, seed=0), make_landscape(6, 16, seed=1)


def test_changed_cells_are_of_another_class_and_the_others_are_not():
    later, changed = changed_landscape(ONE, OTHER, 16, 0.25, seed=3)
    assert changed.sum() == 9
    cells = [values.class_map.reshape(6, 16, 6, 16).swapaxes(1, 2) for values in (ONE, later)]
    same = (cells[0] == cells[1]).all(axis=(2, 3))
    assert same[~changed].all()
    assert not same[changed].any()


def test_the_season_changes_all_cells_and_vegetation_most():
    later, changed = changed_landscape(ONE, OTHER, 16, 0.0, seed=3)
    assert not changed.any()
    assert later.pixels.dtype == np.uint16
    assert later.pixels.min() >= 1
    assert (later.pixels != ONE.pixels).mean() > 0.9
    red, nir = ONE.pixels[2].astype(float), ONE.pixels[3].astype(float)
    green = (nir - red) / (nir + red) > 0.5
    ratio = later.pixels[3] / nir
    assert np.median(ratio[green]) < np.median(ratio[~green])


def test_the_seed_decides():
    one, again, other = (
        changed_landscape(ONE, OTHER, 16, 0.2, seed=seed)[0].pixels for seed in (3, 3, 4)
    )
    assert (one == again).all()
    assert (one != other).any()


def test_what_cannot_be_made_is_refused():
    with pytest.raises(InvalidArgument, match="size"):
        changed_landscape(ONE, make_landscape(4, 16, seed=1), 16, 0.2, seed=0)
    with pytest.raises(InvalidArgument, match="can change"):
        changed_landscape(ONE, ONE, 16, 0.2, seed=0)
