"""Read the tiles of a training once on each machine, for all processes there."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve.data.file_state import FileStates
from rsretrieve.data.loading.batches import room_named
from rsretrieve.training.dataset import PreparedTiles
from rsretrieve.training.parallel.processes import Processes
from rsretrieve.training.validate import Examples

_TRAIN, _VALIDATION = "train.npy", "validation.npy"


def prepare_shared(processes: Processes, prepare: Callable[[], PreparedTiles]) -> PreparedTiles:
    """Read and prepare tiles in one process of each machine; the others map its pixels.

    The pixels lie in files of the temporary folder, which are deleted as soon as all processes
    of the machine have mapped them. The processes then share one copy in memory.

    Args:
        processes: those of the training.
        prepare: reads the tiles.

    Raises:
        Exception: the error of `prepare`, in all processes.
        OSError: the temporary folder has too little room.
    """
    if processes.count == 1:
        return prepare()
    folder: Path | None = None
    about: PreparedTiles | None = None
    try:
        with processes.together():
            if processes.is_reader:
                prepared = prepare()
                folder = Path(tempfile.mkdtemp(prefix="rsretrieve-tiles-"))
                about = _write(folder, prepared)
        where, said = processes.of_reader((folder, about))
        with processes.together():
            found = _read(where, said)  # also the reader's, whose own copy can then be freed
        return replace(found, files=prepared.files) if processes.is_reader else found
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def read_shared(
    processes: Processes, read: Callable[[], NDArray[Any] | None]
) -> NDArray[Any] | None:
    """Read an array in one process of each machine; the others map it, as `prepare_shared` does.

    Args:
        processes: those of the training.
        read: returns the array, or None.

    Raises:
        Exception: the error of `read`, in all processes.
        OSError: the temporary folder has too little room.
    """
    if processes.count == 1:
        return read()
    folder: Path | None = None
    try:
        with processes.together():
            found = read() if processes.is_reader else None
            if found is not None:
                folder = Path(tempfile.mkdtemp(prefix="rsretrieve-tiles-"))
                with room_named(found.nbytes, "the decoded tiles, which the processes share,"):
                    np.save(folder / _TRAIN, found)
        where = processes.of_reader(folder)
        with processes.together():
            return None if where is None else _mapped(where / _TRAIN)
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _write(folder: Path, prepared: PreparedTiles) -> PreparedTiles:
    """Write the pixels as arrays; returns everything else, but the states of files."""
    train, validation = prepared.train, prepared.validation
    size_bytes = train.pixels.nbytes + (validation.pixels.nbytes if validation else 0)
    with room_named(size_bytes, "the decoded tiles, which the processes share,"):
        np.save(folder / _TRAIN, train.pixels)
        if validation is not None:
            np.save(folder / _VALIDATION, validation.pixels)
    return replace(
        prepared,
        files=FileStates(()),
        train=_without_pixels(train),
        validation=None if validation is None else _without_pixels(validation),
    )


def _without_pixels(examples: Examples) -> Examples:
    return replace(examples, pixels=np.empty(0))


def _read(folder: Path | None, about: PreparedTiles | None) -> PreparedTiles:
    if folder is None or about is None:
        raise FileNotFoundError("the first process of this machine has not read the tiles")
    train, validation = about.train, about.validation
    if validation is not None:
        validation = replace(validation, pixels=_mapped(folder / _VALIDATION))
    train = replace(train, pixels=_mapped(folder / _TRAIN))
    return replace(about, train=train, validation=validation)


def _mapped(path: Path) -> NDArray[Any]:
    # Copy on write: PyTorch warns of arrays that cannot be written to.
    pixels: NDArray[Any] = np.load(path, mmap_mode="c", allow_pickle=False)
    return pixels
