"""Read the tiles of a training once on each machine, for all processes there."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from rsretrieve._core.machine import launch
from rsretrieve.data.file_state import FileStates
from rsretrieve.data.loading.batches import DECODED, SMALLER_SIZE, room_named
from rsretrieve.training.dataset import PreparedTiles, TilesReadAgain
from rsretrieve.training.parallel.processes import Processes
from rsretrieve.training.validate import Examples

A = TypeVar("A")
B = TypeVar("B")

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
    files: list[FileStates] = []

    def write(folder: Path) -> PreparedTiles:
        prepared = prepare()
        files.append(prepared.files)
        return _write(folder, prepared)

    # Also the reader maps the files: its own copy can then be freed.
    found = _through_files(processes, write, _read)
    return replace(found, files=files[0]) if files else found


def read_shared(processes: Processes, read: Callable[[], TilesReadAgain]) -> TilesReadAgain:
    """Read tiles again in one process of each machine; the others map them.

    Args:
        processes: those of the training.
        read: reads the tiles. Machines may not be able to read the same ones.

    Raises:
        Exception: the error of `read`, in all processes.
        OSError: the temporary folder has too little room.
    """
    if processes.count == 1:
        return read()

    def write(folder: Path) -> TilesReadAgain:
        found = read()
        _save(folder / _TRAIN, found.pixels, "the training tiles at another size")
        return replace(found, pixels=np.empty(0))

    return _through_files(
        processes, write, lambda folder, about: replace(about, pixels=_mapped(folder / _TRAIN))
    )


def _through_files(
    processes: Processes, write: Callable[[Path], A], read: Callable[[Path, A], B]
) -> B:
    """Let one process of each machine write files, and all of them read these.

    Args:
        processes: those of the training.
        write: fills a folder, which is deleted in the end; returns what is to be known about it.
        read: takes the folder, and what `write` returned.

    Raises:
        Exception: the error of `write` or `read`, in all processes.
    """
    folder: Path | None = None
    wrote: tuple[Path, A] | None = None
    try:
        with processes.together():
            if processes.is_reader:
                folder = Path(tempfile.mkdtemp(prefix="rsretrieve-tiles-"))
                launch.temporary.add(folder)
                wrote = folder, write(folder)
        said = processes.of_reader(wrote)
        with processes.together():
            if said is None:
                raise FileNotFoundError("the first process of this machine has not read the tiles")
            return read(*said)
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
            launch.temporary.discard(folder)


def _save(path: Path, pixels: NDArray[Any], what: str, hint: str = "") -> None:
    with room_named(pixels.nbytes, f"{what}, which the processes of a machine share,", hint=hint):
        np.save(path, pixels)


def _write(folder: Path, prepared: PreparedTiles) -> PreparedTiles:
    """Write the pixels as arrays; returns everything else, but the states of files."""
    train, validation = prepared.train, prepared.validation
    _save(folder / _TRAIN, train.pixels, DECODED, SMALLER_SIZE)
    if validation is not None:
        _save(folder / _VALIDATION, validation.pixels, DECODED, SMALLER_SIZE)
    return replace(
        prepared,
        files=FileStates(()),
        train=_without_pixels(train),
        validation=None if validation is None else _without_pixels(validation),
    )


def _without_pixels(examples: Examples) -> Examples:
    return replace(examples, pixels=np.empty(0))


def _read(folder: Path, about: PreparedTiles) -> PreparedTiles:
    train, validation = about.train, about.validation
    if validation is not None:
        validation = replace(validation, pixels=_mapped(folder / _VALIDATION))
    train = replace(train, pixels=_mapped(folder / _TRAIN))
    return replace(about, train=train, validation=validation)


def _mapped(path: Path) -> NDArray[Any]:
    # Copy on write: PyTorch warns of arrays that cannot be written to.
    pixels: NDArray[Any] = np.load(path, mmap_mode="c", allow_pickle=False)
    return pixels
