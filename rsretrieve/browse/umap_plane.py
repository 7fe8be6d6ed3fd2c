"""A map of similarity by UMAP (McInnes et al. 2018), of the extra `umap`."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve._core.atomic_write import written_aside
from rsretrieve._core.cache_dir import cache_dir
from rsretrieve.browse.points import principal_plane, scaled
from rsretrieve.data.loading.cache_folder import CacheFolder
from rsretrieve.data.run_context import RunContext
from rsretrieve.errors import InputError
from rsretrieve.index.store.folder import IndexStore
from rsretrieve.index.store.manifest import VECTORS_FILE

FITTED = 20_000
"""UMAP is fitted to at most so many evenly spaced tiles; the others are placed among them."""
_NEIGHBOURS, _SEED = 15, 0
_FEWEST = _NEIGHBOURS + 2
_AT_ONCE = 5_000
_MAPS_KEPT = 16


def umap_plane(
    store: IndexStore, context: RunContext, make: Callable[..., Any] | None = None
) -> NDArray[np.float32]:
    """The map of an index; a map that was made before is taken from the cache folder.

    Args:
        store: the index.
        context: receives progress and notices.
        make: makes a reducer, as `umap.UMAP` does; None for that one.

    Returns:
        (N, 2) float32, each axis scaled to −1…1. Of too few tiles, their principal components.

    Raises:
        InputError: UMAP gives some tile no place.
    """
    count = len(store.rows)
    if count < _FEWEST:
        context.notice(
            f"UMAP needs {_FEWEST} tiles, and the index has {count}: the map shows two principal "
            "components"
        )
        return principal_plane(store.vectors)
    path = _cached(store)
    if path is not None and (known := _read(path, count)) is not None:
        return known
    if count > FITTED:
        context.notice(
            f"UMAP is fitted to {FITTED:,} of {count:,} tiles; the others are placed among them"
        )
    found = _computed(store.vectors, context, make)
    if path is not None:
        _keep(path, found)
        context.notice(f"the UMAP of this index is kept in {path}; the next start takes it")
    return found


def _computed(
    vectors: NDArray[np.float32], context: RunContext, make: Callable[..., Any] | None
) -> NDArray[np.float32]:
    count = len(vectors)
    fitted = np.unique(np.linspace(0, count - 1, min(count, FITTED)).round().astype(np.int64))
    others = np.setdiff1d(np.arange(count), fitted)
    flat = np.zeros((count, 2))
    context.start_stage("computing the UMAP of the tiles", count)
    with warnings.catch_warnings():
        # That a fixed seed needs one thread, and that TensorFlow is missing, is known.
        warnings.simplefilter("ignore")
        reducer = (make or _umap())(n_neighbors=_NEIGHBOURS, random_state=_SEED)
        flat[fitted] = reducer.fit_transform(np.asarray(vectors[fitted], np.float32))
        context.advance(len(fitted))
        for start in range(0, len(others), _AT_ONCE):
            rows = others[start : start + _AT_ONCE]
            flat[rows] = reducer.transform(np.asarray(vectors[rows], np.float32))
            context.advance(len(rows))
    if not np.isfinite(flat).all():
        raise InputError("UMAP gives some tiles no place", hint="leave out --map umap")
    middle = (flat.max(axis=0) + flat.min(axis=0)) / 2
    return scaled(flat - middle)


def _umap() -> Callable[..., Any]:
    from umap import UMAP

    found: Callable[..., Any] = UMAP
    return found


def _cached(store: IndexStore) -> Path | None:
    """The file of the map; None if the user has no cache folder, or wants nothing kept."""
    root = cache_dir() if CacheFolder.of_environment().limit_bytes else None
    facts = [store.manifest.sha256[VECTORS_FILE], FITTED, _NEIGHBOURS, _SEED, _version()]
    name = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]
    return None if root is None else root / "maps" / f"{name}.npy"


def _version() -> str:
    with suppress(ImportError):  # PackageNotFoundError is one
        return version("umap-learn")
    return ""


def _read(path: Path, count: int) -> NDArray[np.float32] | None:
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    is_map = found.shape == (count, 2) and found.dtype == np.float32 and np.isfinite(found).all()
    return found if is_map else None


def _keep(path: Path, found: NDArray[np.float32]) -> None:
    """Keep a map, and the newest ones beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_aside(path, overwrite=True, follow=False) as aside, aside.open("wb") as stream:
        np.save(stream, found)
    maps = sorted(path.parent.glob("*.npy"), key=lambda each: each.stat().st_mtime)
    for old in maps[:-_MAPS_KEPT]:
        old.unlink(missing_ok=True)
