"""Check the query of `Index.search`; its type decides which kind of query it is."""

from __future__ import annotations

import os
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve.api.arguments.checks import (
    flag,
    number,
    numbers,
    optional_path,
    text_of,
    texts,
    wrong,
)
from rsretrieve.data.dates.periods import interval_of_values
from rsretrieve.errors import InputError
from rsretrieve.index.store.columns import find_rows
from rsretrieve.index.store.folder import IndexStore
from rsretrieve.search.composed_query import image_tile
from rsretrieve.search.filters import DUPLICATE_SIMILARITY, Filters

_EXPECTED = "an image's path, a tile's id, a (lon, lat) or a vector"


def query_fields(store: IndexStore, query: object) -> dict[str, Any]:
    """The fields of a `QueryRequest` that say what is asked.

    Args:
        store: the index.
        query: a path of an image or of a `.npy`; a text that is a tile's id or, where no tile
            has it, such a path; a pair of numbers: longitude and latitude; or a vector (D,).

    Raises:
        InvalidArgument: none of these, or a vector that does not fit.
        InputError: a text that names neither a tile nor a file.
    """
    if isinstance(query, str | os.PathLike):
        return _named(store, text_of(query, "query"), is_path=not isinstance(query, str))
    if _is_pair(query):
        return {"points": (numbers(query, "query", 2),)}
    return {"vector": _unit(query, store.manifest.dimensions)}


def _named(store: IndexStore, name: str, *, is_path: bool) -> dict[str, Any]:
    if not is_path and len(find_rows(store.rows, "id", name)):
        return {"tiles": (name,)}
    location = image_tile(store, name).location
    if not location.is_local or Path(location.text).exists():
        return {"images": (name,)}
    what = "no file" if is_path else f"neither a tile of {store.folder} nor a file"
    raise InputError(
        f"{name!r} is {what}",
        hint=f"a query is {_EXPECTED}; an id is a path below the tiles' folder, such as "
        f"{store.rows[0].id!r}",
    )


def _is_pair(query: object) -> bool:
    return (
        isinstance(query, tuple | list)
        and len(query) == 2
        and all(isinstance(part, Real) for part in query)
    )


def _unit(query: object, dimensions: int) -> NDArray[np.float32]:
    """A vector (D,), or (1, D), as a unit vector.

    Raises:
        InvalidArgument: it is no such vector, has no direction, or is not finite.
    """
    try:
        given = np.asarray(query)
        vector = given.astype(np.float64) if given.dtype.kind in "fiu" else None
    except (TypeError, ValueError, RuntimeError):  # RuntimeError: a tensor that has gradients
        vector = None
    if vector is None or not vector.ndim:
        raise wrong("query", _EXPECTED, query)
    if vector.shape not in ((dimensions,), (1, dimensions)):
        expected = f"a vector ({dimensions},), as the index has {dimensions} dimensions"
        raise wrong("query", expected, vector.shape)
    with np.errstate(over="ignore"):  # of numbers whose squares are beyond float64
        norm = float(np.linalg.norm(vector))
    if not np.isfinite(norm) or norm == 0:
        raise wrong("query", "a finite vector that is not zero", query)
    return np.asarray(vector.reshape(-1) / norm, np.float32)


def filters_of(
    *,
    labels: object,
    bbox: object,
    within: object,
    datetime: object,
    fold_duplicates: object,
    **others: object,
) -> Filters:
    """Which tiles may be hits, by the arguments of `Index.search`.

    Raises:
        InvalidArgument: an argument is of a wrong type, or makes no sense.
    """
    fold = DUPLICATE_SIMILARITY if flag(fold_duplicates, "fold_duplicates") else None
    least, duplicate = (
        None if others[name] is None else number(others[name], name)
        for name in ("min_similarity", "duplicate_similarity")
    )
    box: Any = None if bbox is None else numbers(bbox, "bbox", 4)
    return Filters(
        labels=texts(labels, "labels"),
        bbox=box,
        within=optional_path(within, "within"),
        taken=None if datetime is None else interval_of_values(datetime, "datetime"),
        min_similarity=least,
        exclude_self=flag(others["exclude_self"], "exclude_self"),
        distinct_scene=flag(others["distinct_scene"], "distinct_scene"),
        duplicate_similarity=fold if duplicate is None else duplicate,
        no_overlap=flag(others["no_overlap"], "no_overlap"),
    )
