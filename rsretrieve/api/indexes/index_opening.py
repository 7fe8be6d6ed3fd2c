"""Open an index folder from Python."""

from __future__ import annotations

import os

from rsretrieve.api.arguments.checks import device_name, path_of, wrong
from rsretrieve.api.call_report import CallReport
from rsretrieve.api.opened_index import Index, IndexLike
from rsretrieve.api.trained_model import Model, ModelLike, model_path
from rsretrieve.index.compatibility import require_same_model
from rsretrieve.index.store import folder as index_folder
from rsretrieve.network.metadata import ModelFolder


def open_index(path: IndexLike, *, model: ModelLike | None = None, device: str = "auto") -> Index:
    """Open an index folder for search.

    Args:
        path: the folder that `build_index` wrote.
        model: the model it was built with, if that was moved.
        device: `auto`, `cpu`, `cuda` or `cuda:N`; what embeds queries and searches.

    Returns:
        The index.

    Raises:
        InvalidArgument: an argument is of a wrong type.
        IndexNotFound: there is no index.
        IndexDamaged: a file is missing or was changed, or a newer version wrote it.
        ModelMismatch: `model` is another one.

    Example:
        >>> import rsretrieve
        >>> len(rsretrieve.open_index("index"))
        144
    """
    with CallReport(None) as call:
        if isinstance(path, Index):
            return path
        if not isinstance(path, str | os.PathLike):
            raise wrong("index", "a path or an open index", path)
        store, name = index_folder.open_index(path_of(path, "index")), device_name(device)
        if model is None:
            return Index(store, None, name)
        chosen = model if isinstance(model, Model) else model_path(model, call)
        described = chosen.loaded if isinstance(chosen, Model) else ModelFolder.read(chosen)
        require_same_model(store.folder, store.manifest, described)
        return Index(store, chosen, name)
