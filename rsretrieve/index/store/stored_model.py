"""The model that lies in an index folder, so that the folder can be moved as a whole."""

from __future__ import annotations

import shutil
from pathlib import Path

from rsretrieve.errors import IndexDamaged, ModelError
from rsretrieve.network.metadata import (
    DESCRIPTION_FILE,
    WEIGHTS_FILE,
    ModelDescription,
    ModelFolder,
    changed_files,
    check_file,
)


def copy_model(source: Path, target: Path) -> None:
    """Copy the files that a model's description names, and check the copies.

    Args:
        source: a model folder.
        target: the folder to write.

    Raises:
        ModelDamaged: a file is missing, or is not as the description says.
        OSError: the disk is full.
    """
    description = ModelFolder.read(source).description
    target.mkdir()
    for name, sha256 in _checksums(description).items():
        check_file(source / name, sha256)
        shutil.copyfile(source / name, target / name)
        check_file(target / name, sha256)
    shutil.copyfile(source / DESCRIPTION_FILE, target / DESCRIPTION_FILE)
    if ModelFolder.read(target).description != description:
        raise IndexDamaged(f"{source / DESCRIPTION_FILE} changed while it was copied")


def stored_model_files(folder: Path) -> list[str]:
    """The names of the files of a model folder: its description, and those that it names."""
    return [DESCRIPTION_FILE, *_checksums(ModelFolder.read(folder).description)]


def stored_model_problems(folder: Path) -> list[str]:
    """One sentence for each changed or missing file of a model folder."""
    try:
        model = ModelFolder.read(folder)
    except ModelError as error:
        return [error.message]
    said = f"is not the file that {DESCRIPTION_FILE} describes"
    return [f"{folder / name} {said}" for name in changed_files(model)]


def stored_model_bytes(folder: Path) -> int:
    """The size of the files of a model folder."""
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())


def _checksums(description: ModelDescription) -> dict[str, str]:
    """The checksum of every file that a description names, by name."""
    return {**description.files, WEIGHTS_FILE: description.weights_sha256}
