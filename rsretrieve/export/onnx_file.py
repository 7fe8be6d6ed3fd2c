"""Write a model as one ONNX file for other programs, checked, with a description beside it.

The file takes preprocessed tiles as float32 numbers in their own units (0…255 for 8-bit tiles), and
scales and normalises them itself: every backend of onnxruntime takes float32, those of browsers,
too, and no program needs the model's statistics. Tiles are resized before: ONNX's resizing is not
that of the images that the model was trained on.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve import __version__
from rsretrieve._core.atomic_write import sha256_of_file, write_json, written_aside
from rsretrieve._core.standard_output import is_standard_output
from rsretrieve._core.text import first_line
from rsretrieve.errors import InvalidArgument, ModelError
from rsretrieve.network.metadata import ModelDescription
from rsretrieve.network.runtime.graph_checks import INPUT, OUTPUT

if TYPE_CHECKING:
    from rsretrieve.data.preprocessing.preprocessing import Preprocessing
    from rsretrieve.data.run_context import RunContext
    from rsretrieve.network.model import Model

DEFAULT_OPSET = 18
LEAST_COSINE = 0.999
SCHEMA_VERSION = 1
_TILES = 8
LIMIT_BYTES = 2_000_000_000  # of a file in the format of ONNX
_SMOOTH = 8  # cells a side of the coarse pattern of a generated tile


@dataclass(frozen=True)
class OnnxExport:
    """A model that was written as an ONNX file; its fields are the keys of the command's JSON.

    Attributes:
        model: the model folder.
        onnx: the file.
        description: the JSON file that describes its input and output.
        opset: the version of ONNX's operators.
        dimensions: D of the embedding.
        size_px: the side of a tile.
        fingerprint: of the model.
        bytes: size of the file.
        tiles: number of generated tiles that onnxruntime and PyTorch embedded.
        least_cosine: the smallest cosine similarity between the two embeddings of a tile.
    """

    model: str
    onnx: str
    description: str
    opset: int
    dimensions: int
    size_px: int
    fingerprint: str
    bytes: int
    tiles: int
    least_cosine: float


def description_path(path: Path) -> Path:
    """The JSON file beside an ONNX file: its name with `.json` added."""
    return path.with_name(f"{path.name}.json")


def check_name(path: Path) -> None:
    """Check that a file beside `path` can be named after it.

    Raises:
        InvalidArgument: it is standard output, or does not end in `.onnx`.
    """
    if is_standard_output(path) or path.suffix.lower() != ".onnx":
        raise InvalidArgument(
            f"--onnx: {path} does not end in .onnx",
            hint="two files are written: FILE.onnx, and FILE.onnx.json beside it",
        )


def write_onnx(
    model: Model,
    path: Path,
    context: RunContext,
    *,
    opset: int = DEFAULT_OPSET,
    overwrite: bool = False,
) -> OnnxExport:
    """Write a model as an ONNX file and its description, if onnxruntime agrees with PyTorch.

    Args:
        model: on the CPU.
        path: the file, which ends in `.onnx`.
        context: receives progress.
        opset: the version of ONNX's operators.
        overwrite: replace existing files.

    Returns:
        What was written, and how far the embeddings agree.

    Raises:
        InvalidArgument: the name or the opset is none that can be written.
        ModelError: the network cannot be exported, or the embeddings differ; no file is written.
        OutputExists: a file exists, and `overwrite` is false.
    """
    from rsretrieve.network.runtime.graph_export import STANDALONE_OPSETS, export_standalone

    check_name(path)
    if opset not in STANDALONE_OPSETS:
        first, last = STANDALONE_OPSETS[0], STANDALONE_OPSETS[-1]
        raise InvalidArgument(f"an opset lies in {first}…{last}, not {opset}")
    described = model.description
    context.start_stage("exporting the network")
    export = export_standalone(model.network, described.preprocessing, opset)
    if export.graph is None or len(export.graph) > LIMIT_BYTES:
        cause = export.cause or "it has more than 2 GB, the limit of an ONNX file"
        raise ModelError(
            f"{model.folder} cannot be exported for batches of any size ({cause})",
            hint="another --opset may work; the model folder itself stays usable",
        )
    context.start_stage("comparing with PyTorch", _TILES)
    beside = description_path(path)
    with written_aside(path, overwrite=overwrite) as aside:
        aside.write_bytes(_with_metadata(export.graph, described))
        least = _require_agreement(model, aside)
        content = {
            **describe(described, opset),
            "onnx": path.name,
            "sha256": sha256_of_file(aside),
            "checked": {"tiles": _TILES, "least_cosine": least},
        }
        write_json(beside, content, overwrite=overwrite, follow=False)
        size = aside.stat().st_size
    return OnnxExport(
        model=str(model.folder),
        onnx=str(path),
        description=str(beside),
        opset=opset,
        dimensions=described.dimensions,
        size_px=described.preprocessing.size_px,
        fingerprint=described.fingerprint,
        bytes=size,
        tiles=_TILES,
        least_cosine=least,
    )


def describe(described: ModelDescription, opset: int) -> dict[str, Any]:
    """What a program must know to use the file, as JSON values."""
    preprocessing = described.preprocessing
    channels, side = len(preprocessing.bands), preprocessing.size_px
    return {
        "schema_version": SCHEMA_VERSION,
        "rsretrieve": __version__,
        "opset": opset,
        "model_fingerprint": described.fingerprint,
        "backbone": described.backbone,
        "input": {
            "name": INPUT,
            "type": "float32",
            "layout": "NCHW",
            "shape": ["batch", channels, side, side],
            "values": _values_of(preprocessing),
        },
        "output": {
            "name": OUTPUT,
            "type": "float32",
            "shape": ["batch", described.dimensions],
            "length": 1,
            "metric": "inner product, which is the cosine similarity",
        },
        "dimensions": described.dimensions,
        "size_px": side,
        "bands": list(preprocessing.bands),
        "source_bands": preprocessing.source_bands,
        "dtype": preprocessing.dtype,
        "packing": None if preprocessing.packing is None else preprocessing.packing.to_json(),
        # A JPEG is decoded at 1/2, 1/4 or 1/8 of its size while both sides stay at least this
        # long, as `Image.draft` of Pillow does it; null: at full size.
        "jpeg_px": preprocessing.jpeg_px,
        "resize": {
            "method": "bilinear with antialiasing (a triangle filter as wide as the reduction), "
            "as Image.resize of Pillow with BILINEAR",
            "size_px": side,
            "keeps_aspect_ratio": False,
            "rounded_to": preprocessing.dtype,
        },
        "invalid_pixels": {
            "rule": "replace them by these numbers, band by band, before resizing",
            "values": list(preprocessing.statistics.mean),
        },
        "normalisation": "part of the graph: give the numbers as they are",
    }


def _values_of(preprocessing: Preprocessing) -> str:
    if preprocessing.dtype == "uint8":
        return "uint8 numbers, 0 to 255"
    return f"{preprocessing.dtype} numbers, as the tiles hold them"


def _with_metadata(graph: bytes, described: ModelDescription) -> bytes:
    """The graph, with the model's name in its metadata."""
    import onnx

    model = onnx.load_model_from_string(graph)
    model.producer_name, model.producer_version = "rsretrieve", __version__
    onnx.helper.set_model_props(model, {"model_fingerprint": described.fingerprint})
    serialised: bytes = model.SerializeToString(deterministic=True)
    return serialised


def _require_agreement(model: Model, path: Path) -> float:
    """Embed generated tiles by the file, one and several at a time, and by PyTorch.

    Returns:
        The smallest cosine similarity between the two embeddings of a tile.

    Raises:
        ModelError: it is below `LEAST_COSINE`, or onnxruntime cannot run the file.
    """
    tiles = generated_tiles(model.description.preprocessing)
    expected = model.embedder().vectors(tiles).astype(np.float64)
    try:
        found = _embedded(path, tiles.astype(np.float32)).astype(np.float64)
    except Exception as error:  # onnxruntime's error classes have no common base
        raise ModelError(f"onnxruntime cannot run the exported graph ({first_line(error)})") from (
            error
        )
    is_usable = found.shape == expected.shape and np.isfinite(found).all()
    least = float((found * expected).sum(axis=1).min()) if is_usable else -1.0
    if least < LEAST_COSINE:
        raise ModelError(
            f"the exported graph does not agree with PyTorch: the least cosine similarity of "
            f"{len(tiles)} tiles is {least:.5f}, below {LEAST_COSINE}; no file is written",
            hint="another --opset may agree",
        )
    return least


def _embedded(path: Path, tiles: NDArray[np.float32]) -> NDArray[np.float32]:
    """The embeddings of tiles: of the first alone, and of the others together."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # fatal errors only: others are raised
    session = onnxruntime.InferenceSession(
        path.read_bytes(), options, providers=["CPUExecutionProvider"]
    )
    parts = [session.run([OUTPUT], {INPUT: part})[0] for part in (tiles[:1], tiles[1:])]
    return np.concatenate(parts)


def generated_tiles(preprocessing: Preprocessing) -> NDArray[Any]:
    """Tiles of patterns and noise in the range of the model's bands, the same in every run.

    Returns:
        (8, C, S, S) in the tiles' type.
    """
    statistics, side = preprocessing.statistics, preprocessing.size_px
    rng = np.random.default_rng(0)
    shape = (_TILES, statistics.bands)
    coarse = rng.normal(size=(*shape, _SMOOTH, _SMOOTH))
    cell = -(-side // _SMOOTH)
    smooth = coarse.repeat(cell, axis=2).repeat(cell, axis=3)[:, :, :side, :side]
    share = np.linspace(0, 1, _TILES)[:, None, None, None]  # from a pattern to noise
    values = (1 - share) * smooth + share * rng.normal(size=(*shape, side, side))
    columns = (statistics.mean, statistics.deviation, statistics.low, statistics.high)
    mean, deviation, low, high = (np.array(x)[:, None, None] for x in columns)
    values = np.clip(mean + deviation * values, low, high)
    if np.dtype(preprocessing.dtype).kind != "f":
        limits = np.iinfo(preprocessing.dtype)
        values = np.clip(np.rint(values), limits.min, limits.max)
    return values.astype(preprocessing.dtype)


def onnx_json(export: OnnxExport) -> dict[str, Any]:
    """The object that `export --json` prints."""
    return asdict(export)
