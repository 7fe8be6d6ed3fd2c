"""The folder beside a training's output that keeps its checkpoint until the model is written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rsretrieve._core.atomic_write import refuse_to_overwrite
from rsretrieve._core.folders.known_folders import MODEL_FOLDER
from rsretrieve._core.folders.own_files import remove_files
from rsretrieve._core.locks import only_writer
from rsretrieve.errors import CheckpointError, OutputExists

CHECKPOINT_FILE = "checkpoint.safetensors"


def unfinished_folder(output: Path) -> Path:
    """The folder of a training whose model folder is `output`."""
    return output.with_name(f".{output.name}.unfinished")


def checkpoint_path(output: Path) -> Path:
    """The checkpoint that a training with this output writes, and resumes from."""
    return unfinished_folder(output) / CHECKPOINT_FILE


@contextmanager
def writing(output: Path, *, overwrite: bool) -> Iterator[None]:
    """Lock an output, and remove what interrupted trainings left beside it.

    Args:
        output: the model folder.
        overwrite: the folder may be there.

    Raises:
        OutputExists, OutputBusy: it exists, or another process is writing it.
    """
    refuse_to_overwrite(output, overwrite=overwrite, kind=MODEL_FOLDER)
    with only_writer(output, MODEL_FOLDER):
        _remove_leftovers(output)
        try:
            yield
        finally:
            _remove_leftovers(output)


def check_unfinished(output: Path, *, resume: bool, overwrite: bool) -> None:
    """Check that no unfinished training would be lost, and that there is one to resume.

    With `overwrite` its checkpoint stays until the first one of the new training replaces it:
    until an epoch is finished there is nothing better.

    Raises:
        OutputExists: there is one, and neither `resume` nor `overwrite` was given.
        CheckpointError: `resume`, and no epoch of one was finished.
    """
    folder = unfinished_folder(output)
    if resume and not checkpoint_path(output).exists():
        raise nothing_to_resume(checkpoint_path(output))
    if folder.exists() and not resume and not overwrite:
        raise OutputExists(
            f"{output} has an unfinished training ({folder})",
            hint="give --resume to continue it, or --overwrite to start again",
        )


def nothing_to_resume(checkpoint: Path) -> CheckpointError:
    """The error of a checkpoint that is missing."""
    return CheckpointError(
        f"no unfinished training to resume ({checkpoint} is missing)",
        hint="start it without --resume",
    )


def remove_unfinished(output: Path) -> None:
    """Remove the checkpoint of a training, and its folder if nothing else lies there."""
    remove_files(unfinished_folder(output), _is_of_checkpoint)


def _is_of_checkpoint(name: str) -> bool:
    return name == CHECKPOINT_FILE or name.startswith(f".{CHECKPOINT_FILE}.")


def _remove_leftovers(output: Path) -> None:
    """Remove everything of an interrupted training except a whole checkpoint."""
    is_whole = checkpoint_path(output).exists()
    remove_files(
        unfinished_folder(output),
        lambda name: _is_of_checkpoint(name) and not (is_whole and name == CHECKPOINT_FILE),
    )
