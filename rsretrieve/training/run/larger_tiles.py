"""The training tiles at a larger size, for the features before the training."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from numpy.typing import NDArray

from rsretrieve.data.run_context import RunContext
from rsretrieve.errors import TileError
from rsretrieve.training.dataset import PreparedTiles, read_again
from rsretrieve.training.parallel.processes import Processes
from rsretrieve.training.parallel.shared_tiles import read_shared

_FEW = 0.05
"""Share of the tiles. If no more cannot be read again, their small pixels are enlarged, and nothing
changes for the others. Many enlarged tiles would resemble each other because they are enlarged."""


def larger_tiles(
    prepared: PreparedTiles, side_px: int, processes: Processes, context: RunContext
) -> NDArray[Any] | None:
    """Read the training tiles again, on each machine once; all processes decide alike.

    Args:
        prepared: the tiles.
        side_px: S.
        processes: those of the training.
        context: takes progress, and a notice of what cannot be read again.

    Returns:
        (N, C, S, S) in the tiles' own type; None if features must come from the smaller pixels: too
        many tiles cannot be read again, or there is no room for them.

    Raises:
        TileError: a tile cannot be read again, and `context` is strict.
    """
    try:
        found = read_shared(processes, partial(read_again, prepared, side_px, context))
    except TileError:
        raise
    except OSError as error:  # in all processes
        reason = error.strerror or str(error)
        context.notice(
            f"{_instead(prepared)}: at {side_px} px there is no room for them ({reason})"
        )
        return None
    unread: dict[str, str] = {}
    for of_machine in processes.values_of_all(dict(found.unread)):
        unread |= of_machine
    if not unread:
        return found.pixels
    are_few = len(unread) <= _FEW * len(prepared.tiles)
    size_px = prepared.preprocessing.size_px
    text = f"their pixels are enlarged from {size_px} px" if are_few else _instead(prepared)
    context.notice(f"{_told(unread, prepared, side_px)}: {text}")
    return found.pixels if are_few else None


def _instead(prepared: PreparedTiles) -> str:
    size_px = prepared.preprocessing.size_px
    return f"the features before the training are computed from all tiles at {size_px} px"


def _told(unread: Mapping[str, str], prepared: PreparedTiles, side_px: int) -> str:
    tile, reason = min(unread.items())
    return (
        f"{len(unread)} of {len(prepared.tiles)} tiles cannot be read again at {side_px} px for "
        f"the features before the training ({tile}: {reason})"
    )
