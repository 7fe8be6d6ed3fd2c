"""The model that an open index embeds queries with."""

from __future__ import annotations

from pathlib import Path

from rsretrieve.api.call_report import CallReport
from rsretrieve.api.trained_model import Model, model_of
from rsretrieve.errors import ModelError
from rsretrieve.index.store.folder import IndexStore
from rsretrieve.index.store.manifest import Manifest
from rsretrieve.network import model as network_model
from rsretrieve.network.device import choose_device
from rsretrieve.network.metadata import ModelFolder, read_description
from rsretrieve.network.runtime.graph import EmbeddingModel, open_embedding_model
from rsretrieve.search.search import SearchContext, model_folder_of


class ModelOfIndex:
    """Opens the model of an index when it is first needed, and keeps it.

    Args:
        store: the index.
        model: its model; None for where the index says.
        device: that embeds queries and searches.
    """

    def __init__(self, store: IndexStore, model: Model | Path | None, device: str) -> None:
        self._store, self._model, self._device = store, model, device
        self._opened: EmbeddingModel | None = None

    def search_context(self, call: CallReport) -> SearchContext:
        """What a query needs beside the index."""
        device = self._device
        if device not in ("auto", "cpu"):
            device = str(choose_device(device))
        return SearchContext(
            lambda images: self._for_images(images, call),
            call.context,
            "cpu" if device == "auto" else device,
        )

    def _for_images(self, images: int, call: CallReport) -> EmbeddingModel:
        if isinstance(self._model, Model):
            return self._model.loaded
        if self._opened is None:
            found = ModelFolder.read(self._model or model_folder_of(self._store))
            self._opened = open_embedding_model(found, images, self._device, call.context)
        return self._opened

    def network(self, manifest: Manifest, call: CallReport) -> network_model.Model | None:
        """The model as a network; None, with a notice, where it cannot be had."""
        if self._model is not None:
            return model_of(self._model, self._device, call).loaded
        folder = manifest.model_path(self._store.folder)
        if folder is None:
            return None
        try:
            return model_of(folder, self._device, call).loaded
        except ModelError as error:
            call.notice(f"no tile is embedded again: {error}")
            return None

    @property
    def bands(self) -> tuple[int, ...]:
        """The bands that pictures show: those of the model, or the first where it is gone."""
        if isinstance(self._model, Model):
            return self._model.loaded.description.preprocessing.bands
        folder = self._model or self._store.manifest.model_path(self._store.folder)
        try:
            return read_description(folder).preprocessing.bands if folder else ()
        except ModelError:
            return ()
