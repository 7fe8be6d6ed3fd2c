"""Where `train` writes, and what it says after Ctrl-C."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from rsretrieve._core.paths import Location
from rsretrieve.training.run.unfinished_training import checkpoint_path, unfinished_folder

if TYPE_CHECKING:  # heavy
    import torch


def output_or_default(
    given: Path | None, tiles: str, *, resume: bool, anew: bool
) -> tuple[Path, tuple[str, ...]]:
    """The model folder, and a notice if a number was added to the default name.

    Args:
        given: `--output`.
        tiles: the first of TILES.
        resume: continue the training of the first folder that has an unfinished one.
        anew: replace the folder without a number.
    """
    if given is not None:
        return given, ()
    named = Path("models", Path(Location.parse(tiles).name).stem)
    number, found = 1, named
    while found.exists() and not anew:
        if resume and unfinished_folder(found).exists():
            break
        number += 1
        found = named.with_name(f"{named.name}-{number}")
    if resume and not unfinished_folder(found).exists():
        found = named
    notices = (f"{named} exists; the model is written to {found}",) if found != named else ()
    return found, notices


def of_first_process(output: Path, device: torch.device) -> Path:
    """The default model folder of the first process: machines may have found different names.

    Args:
        output: that of this process.
        device: of the training.
    """
    from rsretrieve.training.parallel.process_group import training_processes

    return training_processes(device).of_first(lambda: output)


def keeps_epochs(output: Path, *, resume: bool) -> Callable[[], str]:
    """What to say after Ctrl-C: which epochs are kept.

    Args:
        output: the model folder of the training.
        resume: the training continues from its checkpoint.
    """
    checkpoint = checkpoint_path(output)
    before = None if resume else _state(checkpoint)
    return lambda: _what_is_kept(checkpoint, before)


def _what_is_kept(checkpoint: Path, before: tuple[int, int] | None) -> str:
    """Say after Ctrl-C which epochs are kept, by the checkpoint before the run and now."""
    now = _state(checkpoint)
    if now is None:
        return (
            "no epoch was finished, so nothing is kept; the same command starts from the beginning"
        )
    if now == before:
        return "no epoch was finished; the earlier unfinished training is unchanged"
    return "finished epochs are kept; to continue, repeat the command with --resume"


def _state(path: Path) -> tuple[int, int] | None:
    """Inode and modification time, which change when the file is replaced; None if missing."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns
