"""The map of similarity by UMAP: of a sample, kept in the cache."""

from __future__ import annotations

from importlib import util

import numpy as np
import pytest

from rsretrieve.browse import umap_plane as planes
from rsretrieve.browse.points import principal_plane
from rsretrieve.browse.umap_plane import umap_plane
from rsretrieve.data.run_context import RunContext
from rsretrieve.errors import InputError
from rsretrieve.index.store.folder import open_index
from rsretrieve.progress import Noticed
from tests.browse.conftest import COUNT


class FirstTwo:
    """Stands for UMAP: the first two values of a vector are its place."""

    fitted: int = 0

    def __init__(self, **_):
        type(self).fitted = 0

    def fit_transform(self, vectors):
        type(self).fitted += len(vectors)
        return vectors[:, :2]

    def transform(self, vectors):
        return vectors[:, :2]


class Nowhere(FirstTwo):
    def transform(self, vectors):
        return np.full((len(vectors), 2), np.nan)


@pytest.fixture
def store(index_folder):
    return open_index(index_folder)


@pytest.fixture
def cached(monkeypatch, tmp_path):
    monkeypatch.setenv("RSRETRIEVE_CACHE", str(tmp_path))
    monkeypatch.setenv("RSRETRIEVE_CACHE_SIZE", "1GB")
    return tmp_path / "maps"


def notices(listened):
    return [event.text for event in listened if isinstance(event, Noticed)]


def test_every_tile_has_a_place_and_the_axes_reach_the_edges(store):
    found = umap_plane(store, RunContext(), FirstTwo)
    expected = np.asarray(store.vectors[:, :2], np.float64)
    expected = expected - (expected.max(axis=0) + expected.min(axis=0)) / 2
    assert np.allclose(found, expected / np.abs(expected).max(axis=0), atol=1e-6)
    assert FirstTwo.fitted == COUNT


def test_of_a_large_index_a_sample_is_fitted_with_a_notice(store, monkeypatch):
    monkeypatch.setattr(planes, "FITTED", 12)
    listened = []
    found = umap_plane(store, RunContext(listener=listened.append), FirstTwo)
    assert FirstTwo.fitted == 12
    assert np.allclose(np.abs(found).max(axis=0), 1)
    assert "12 of 30 tiles" in notices(listened)[0]


def test_a_map_is_made_once(store, cached):
    listened = []
    first = umap_plane(store, RunContext(listener=listened.append), FirstTwo)
    assert len([*cached.glob("*.npy")]) == 1
    assert str(cached) in notices(listened)[0]
    FirstTwo.fitted = 0
    assert np.array_equal(umap_plane(store, RunContext(), FirstTwo), first)
    assert FirstTwo.fitted == 0


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"other"])
def test_a_damaged_map_is_made_again(store, cached, content):
    first = umap_plane(store, RunContext(), FirstTwo)
    [path] = cached.glob("*.npy")
    path.write_bytes(content)
    assert np.array_equal(umap_plane(store, RunContext(), FirstTwo), first)


def test_old_maps_are_removed(store, cached, monkeypatch):
    monkeypatch.setattr(planes, "_MAPS_KEPT", 2)
    cached.mkdir()
    for number in range(4):
        (cached / f"{number}.npy").write_bytes(b"")
    umap_plane(store, RunContext(), FirstTwo)
    assert len([*cached.glob("*.npy")]) == 2


def test_too_few_tiles_have_principal_components(store, monkeypatch):
    monkeypatch.setattr(planes, "_FEWEST", 99)
    listened = []
    found = umap_plane(store, RunContext(listener=listened.append), FirstTwo)
    assert np.array_equal(found, principal_plane(store.vectors))
    assert "99" in notices(listened)[0]


def test_a_tile_without_a_place_is_said(store, monkeypatch):
    monkeypatch.setattr(planes, "FITTED", 12)
    with pytest.raises(InputError, match="no place"):
        umap_plane(store, RunContext(), Nowhere)


@pytest.mark.slow
@pytest.mark.skipif(util.find_spec("umap") is None, reason="umap-learn is not installed")
def test_umap_itself_keeps_groups_apart(store):
    found = umap_plane(store, RunContext())
    assert found.shape == (COUNT, 2)
    assert np.array_equal(found, umap_plane(store, RunContext()))
