"""Index and model folders: recognised without FAISS and PyTorch, also if they are damaged."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from rsretrieve._core.folders.folder_kind import NO_FILES, FolderKind
from rsretrieve._core.regular_files import read_regular_text
from rsretrieve._core.sealing import json_object

_MODEL_KEYS = (
    *("architecture", "preprocessing", "class_names", "recipe", "training", "versions"),
    "weights_sha256",
)
_MODEL_DATA = ("model.safetensors", "network.onnx")
_MODEL_NAMES = frozenset(
    {
        *("model.json", "model.safetensors", "network.onnx", "backbone.json", "tiles.parquet"),
        *("metric.safetensors", "config.toml", "README.md", "history.csv", "training.png"),
    }
)
_INDEX_KEYS = (
    *("model", "model_fingerprint", "faiss_key", "metric", "tiles", "dimensions"),
    *("recall_at_10", "sha256"),
)
_INDEX_DATA = ("index.faiss", "tiles.parquet", "embeddings.npy")
_INDEX_NAMES = frozenset({"manifest.json", *_INDEX_DATA, "skipped.parquet", "config.toml"})


def _own_model_files(folder: Path) -> frozenset[str]:
    is_own = _is_ours(folder, "model.json", _MODEL_KEYS, _MODEL_DATA)
    return _model_files(folder) if is_own else NO_FILES


def _model_files(folder: Path) -> frozenset[str]:
    """The files that the description of a model names; of old or damaged ones, the usual names.

    A stranger's description may name any file: only files that a model may have are ours.
    """
    listed = json_object(_text(folder / "model.json") or "").get("files")
    named = _MODEL_NAMES & frozenset(listed if isinstance(listed, dict) else ())
    return named | {"model.json", "model.safetensors"} if named else _MODEL_NAMES


def _own_index_files(folder: Path) -> frozenset[str]:
    if not _is_ours(folder, "manifest.json", _INDEX_KEYS, _INDEX_DATA):
        return NO_FILES
    content = json_object(_text(folder / "manifest.json") or "")
    if content and content.get("model") != "model":
        return _INDEX_NAMES
    return _INDEX_NAMES | {f"model/{name}" for name in _model_files(folder / "model")}


def _is_ours(folder: Path, marker: str, keys: Collection[str], data: Collection[str]) -> bool:
    """Whether a JSON file and the data files beside it are ours.

    The JSON has most of our keys, and there is a data file. If it is too damaged to be JSON, all
    data files must be there.
    """
    text = _text(folder / marker)
    if text is None:
        return False
    present = sum((folder / name).is_file() for name in data)
    if 2 * sum(f'"{key}":' in text for key in keys) > len(keys):
        return present > 0
    return present == len(data) and not json_object(text)


def _text(path: Path) -> str | None:
    """A text file's content; empty if it is no text, None if it cannot be read."""
    try:
        return read_regular_text(path)
    except OSError:
        return None
    except ValueError:
        return ""


def is_own_folder(folder: Path, names: Collection[str]) -> bool:
    """Whether a folder is an index or a model.

    Args:
        folder: the folder.
        names: of what it holds.
    """
    return any(
        kind.marker in names and kind.is_own(folder) for kind in (INDEX_FOLDER, MODEL_FOLDER)
    )


MODEL_FOLDER = FolderKind("model", "model.json", _own_model_files, _MODEL_NAMES)
INDEX_FOLDER = FolderKind(
    "index",
    "manifest.json",
    _own_index_files,
    _INDEX_NAMES | {f"model/{name}" for name in _MODEL_NAMES},
)
