"""Models for Python: train one, load one, embed tiles with it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rsretrieve.api.arguments.checks import (
    PathLike,
    device_name,
    flag,
    path_of,
    text_of,
    whole,
    wrong,
)
from rsretrieve.api.call_report import CallReport, Progress
from rsretrieve.api.notebook import facts_html, short, some_names
from rsretrieve.api.opened_tiles import TilesLike, tiles_of
from rsretrieve.data.failures import Failure
from rsretrieve.export.onnx_file import (
    DEFAULT_OPSET,
    OnnxExport,
    check_name,
    description_path,
    write_onnx,
)
from rsretrieve.export.output_paths import OutputPaths
from rsretrieve.index.common_packing import packing_of_tiles
from rsretrieve.index.embed_tiles import embed_tiles
from rsretrieve.network import model as network_model
from rsretrieve.network import model_folder
from rsretrieve.network.device import choose_device
from rsretrieve.network.shipped.shipped_models import given_model, no_such_model


class Model:
    """A trained model, in memory.

    Made by `train` and `load_model`.

    Attributes:
        loaded: the same model as the library's inner functions take it.
        failures: the tiles that could not be used when it was trained, each with a `reason`.

    Example:
        >>> import rsretrieve
        >>> model = rsretrieve.load_model("models/mine")
        >>> model
        <Model 'models/mine': resnet18, 9 classes, 16 dimensions, on cpu>
        >>> model.embed("tiles").shape
        (144, 16)
    """

    def __init__(self, loaded: network_model.Model, failures: Sequence[Failure] = ()) -> None:
        self.loaded = loaded
        self.failures = tuple(failures)

    @property
    def path(self) -> Path:
        """The model folder."""
        return self.loaded.folder

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes that it was trained on, sorted."""
        return self.loaded.description.class_names

    @property
    def dimensions(self) -> int:
        """D of the embedding."""
        return self.loaded.description.dimensions

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of what decides an embedding: architecture, preprocessing, weights."""
        return self.loaded.description.fingerprint

    def embed(
        self, tiles: TilesLike, *, strict: bool = False, progress: Progress | None = None
    ) -> NDArray[np.float32]:
        """Embed tiles.

        Args:
            tiles: open tiles, or what `open_tiles` takes.
            strict: the first tile that cannot be used ends the work.
            progress: called with every event; see `rsretrieve.progress`.

        Returns:
            (N, D) float32: row i is the unit vector of tile i. The row of a tile that cannot be
            used is NaN; a warning says how many there are.

        Raises:
            InvalidArgument: an argument is of a wrong type.
            NoUsableTiles: not one tile can be used.
            TileError: a tile cannot be used, and `strict` is set.

        Example:
            >>> import rsretrieve
            >>> model = rsretrieve.load_model("models/mine")
            >>> vectors = model.embed("tiles")
            >>> vectors.shape, vectors.dtype
            ((144, 16), dtype('float32'))
        """
        with CallReport(progress, strict=strict) as call:
            found = tiles_of(tiles, call)
            packing = packing_of_tiles(self.loaded, found.tile_set, call.context)
            embedded = embed_tiles(self.loaded, found.tile_set, call.context, packing)
        row_of = {tile.id: row for row, tile in enumerate(found)}
        vectors = np.full((len(found), self.dimensions), np.nan, np.float32)
        vectors[[row_of[tile.id] for tile in embedded.tiles]] = embedded.vectors
        return vectors

    def export_onnx(
        self,
        path: PathLike,
        *,
        opset: int = DEFAULT_OPSET,
        overwrite: bool = False,
        progress: Progress | None = None,
    ) -> OnnxExport:
        """Write the model as one ONNX file, with its description as JSON beside it.

        The file takes float32 tiles (B, C, S, S) in their own units and returns unit embeddings
        (B, D). It is run by onnxruntime and compared with PyTorch before it is kept.

        Args:
            path: the file, which ends in `.onnx`; the description is `path` with `.json` added.
            opset: the version of ONNX's operators.
            overwrite: replace files that are there.
            progress: called with every event; see `rsretrieve.progress`.

        Returns:
            What was written: `onnx`, `description`, `opset`, `bytes`, `least_cosine` and more.

        Raises:
            InvalidArgument: an argument is of a wrong type, or there is no such opset.
            ModelError: the network cannot be exported, or the embeddings differ.
            OutputExists, OutputRefused: a file may not be written.

        Example:
            >>> import rsretrieve
            >>> model = rsretrieve.load_model("models/mine")
            >>> model.export_onnx("mine.onnx").least_cosine > 0.999
            True
        """
        with CallReport(progress) as call:
            file, replaces = path_of(path, "path"), flag(overwrite, "overwrite")
            number = whole(opset, "opset", 1)
            check_name(file)
            files = {"path": file, "path (.json)": description_path(file)}
            OutputPaths(files, {}, {"model": self.path}, replaces).check()
            on_cpu = self.loaded
            if on_cpu.device.type != "cpu":
                on_cpu = model_folder.load_model(self.path, choose_device("cpu"), call.context)
            return write_onnx(on_cpu, file, call.context, opset=number, overwrite=replaces)

    def __repr__(self) -> str:
        return (
            f"<Model {short(self.path)!r}: {short(self.loaded.description.backbone)}, "
            f"{len(self.class_names)} classes, {self.dimensions} dimensions, "
            f"on {self.loaded.device}>"
        )

    def _repr_html_(self) -> str:
        description = self.loaded.description
        preprocessing = description.preprocessing
        facts = {
            "backbone": description.backbone,
            "embedding": f"{self.dimensions} dimensions",
            "input": f"{preprocessing.size_px} px, {len(preprocessing.bands)} bands",
            "classes": f"{len(self.class_names)}: {some_names(self.class_names)}",
            "device": self.loaded.device,
        }
        return facts_html(f"model {self.path}", facts)


ModelLike = Model | PathLike


def load_model(path: ModelLike, *, device: str = "auto") -> Model:
    """Load a model folder.

    Args:
        path: the folder that `train` wrote; or the name of a shipped model, see
            `shipped_models`. A folder of that name comes first.
        device: `auto` (a GPU where there is one), `cpu`, `cuda` or `cuda:N`.

    Returns:
        The model.

    Raises:
        InvalidArgument: an argument is of a wrong type.
        ModelNotFound: there is no model.
        ModelDamaged: a file is missing or was changed, or a newer version wrote it.
        DeviceUnavailable: there is no such device.

    Example:
        >>> import rsretrieve
        >>> rsretrieve.load_model("models/mine").class_names[:2]
        ('bare_soil', 'beach')
    """
    with CallReport(None) as call:
        return model_of(path, device, call)


def model_of(model: object, device: object, call: CallReport) -> Model:
    """A model that is loaded already as it is; another one loaded from its folder.

    Raises:
        InvalidArgument: it is neither.
        ModelNotFound, ModelDamaged, DeviceUnavailable: see `load_model`.
    """
    if isinstance(model, Model):
        return model
    if not isinstance(model, str | os.PathLike):
        raise wrong("model", "a path or a loaded model", model)
    folder = model_path(model, call)
    return Model(model_folder.load_model(folder, choose_device(device_name(device)), call.context))


def model_path(model: object, call: CallReport) -> Path:
    """The folder that a path, or the name of a shipped model, means.

    Raises:
        InvalidArgument: it is neither a path nor a text.
        ModelNotFound: there is no such folder; the hint names a similar model.
    """
    given = path_of(model, "model")
    named = given_model(given)
    call.notice(*named.notices)
    folder = named.folder or given
    if not folder.exists():
        raise no_such_model(given)
    return folder


def paths_among(arguments: Mapping[str, object]) -> dict[str, str | Path | None]:
    """What these arguments read, by their names: paths, and what open objects were made of."""
    found: dict[str, str | Path | None] = {}
    for name, value in arguments.items():
        inputs = getattr(value, "inputs", ())
        if isinstance(value, str | os.PathLike):
            inputs = (text_of(value, name),)
        elif isinstance(value, list | tuple):
            inputs = [text_of(one, name) for one in value if isinstance(one, str | os.PathLike)]
        elif isinstance(value, Model):
            inputs = (value.path,)
        found |= {f"{name}{' ' * i}": path for i, path in enumerate(inputs)}
    return found
