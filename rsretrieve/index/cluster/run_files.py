"""The files of a run beside its shards, so that no file of another program is replaced."""

from __future__ import annotations

import re
from pathlib import Path

from rsretrieve._core.folders.own_files import described, remove_files
from rsretrieve._core.sealing import json_object
from rsretrieve.errors import OutputRefused
from rsretrieve.index.cluster.cluster_options import own_shard_folder
from rsretrieve.index.cluster.shard_storage import FolderStorage, ShardStorage

PROBE = "run.json"
"""A file by which a process of the cluster finds out whether it sees the driver's shards."""
TRAINED = "trained.faiss"
_MODEL_START = "model-"
_FIXED = re.compile(rf"{re.escape(PROBE)}|{re.escape(TRAINED)}|{_MODEL_START}.*|\d{{6,}}\.faiss")
_SHARD = re.compile(r"\d{6,}-[0-9a-f]{24}\.parquet")
_TEMPORARY = re.compile(r"\.(.+)\.[a-z0-9_]{8}(?:\.[^.]*)?")
_PROBE_KEYS = {"started", "model_fingerprint"}
_MOST_BYTES = 1 << 20


def model_file(name: str) -> str:
    """The name of a file of the model beside the shards."""
    return f"{_MODEL_START}{name}"


def encoded_name(number: int) -> str:
    """The name of the index of the vectors of a shard."""
    return f"{number:06}.faiss"


def require_own_files(storage: ShardStorage) -> None:
    """Check that a run will replace no file of another program.

    Raises:
        OutputRefused: there is a file with a name of ours, and `run.json` is missing or is not
            that of a run.
        OutputExists: the place is a file.
        InputError: the store does not answer, or refuses.
    """
    if _is_of_run(storage):
        return
    if taken := sorted(name for name in storage.names() if _FIXED.fullmatch(name)):
        raise OutputRefused(
            f"{storage.where} holds {described(taken)}, which rsretrieve did not write there and "
            "would replace",
            hint="give an empty folder for the shards",
        )


def remove_own_shards(index: Path) -> None:
    """Remove the files of runs from the folder of shards beside an index."""
    folder = own_shard_folder(index)
    has_probe = _is_of_run(FolderStorage(folder))

    def is_own(name: str) -> bool:
        temporary = _TEMPORARY.fullmatch(name)
        name = temporary[1] if temporary else name
        return bool(_SHARD.fullmatch(name)) or (has_probe and bool(_FIXED.fullmatch(name)))

    remove_files(folder, is_own)


def _is_of_run(storage: ShardStorage) -> bool:
    """Whether the place has the `run.json` of a run."""
    size = storage.size(PROBE)
    if size is None or size > _MOST_BYTES:
        return False
    return json_object(storage.read(PROBE) or b"").keys() >= _PROBE_KEYS
