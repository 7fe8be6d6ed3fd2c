"""How the tiles of a table of embeddings were read, as the metadata of rsretrieve's export says.

Without these facts, the vectors of an index cannot be computed again from its tiles: the same
pixels in another unit, or at another resolution, have other vectors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rsretrieve.data.pixels.packing import Packing
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.window import Window, split_window
from rsretrieve.data.windowing import WindowChoices
from rsretrieve.index.store.manifest import READING
from rsretrieve.index.store.tile_table import TileTable

_WRONG = (TypeError, ValueError, KeyError, AttributeError, OverflowError)
_SIDE = "read_px"


def with_checked_reading(
    path: Path,
    provenance: Mapping[str, Any],
    names: Sequence[str],
    rows: TileTable,
    context: RunContext,
) -> dict[str, Any]:
    """The provenance of a table, which says how tiles were read only if all rows agree with it.

    Args:
        path: the table, for the notice.
        provenance: as the metadata of the table says.
        names: the columns of the table.
        rows: its N tiles.
        context: receives a notice if the metadata are wrong.
    """
    rest = {key: value for key, value in provenance.items() if key not in READING}
    told = {key: provenance[key] for key in READING if key in provenance}
    if not told:
        return rest
    try:
        found = _checked(told, names, rows)
    except _WRONG:  # what the file says is not printed
        context.notice(
            f"{path}: its metadata say how the tiles were read, but they do not fit its rows: its "
            "vectors are compared with no tiles"
        )
        return rest
    return {**rest, **found}


def _checked(told: Mapping[str, Any], names: Sequence[str], rows: TileTable) -> dict[str, Any]:
    """The facts as a manifest has them.

    Raises:
        TypeError, ValueError, KeyError, AttributeError, OverflowError: they are invalid, or are
            not those of these rows.
    """
    windows, packing = told["windows"], told["packing"]
    if not isinstance(windows, dict) or not isinstance(packing, dict):
        raise TypeError("windows and packing must be objects")
    if _SIDE not in names:
        raise ValueError(f"the column {_SIDE} is missing")
    choices = WindowChoices.from_json(windows)
    if choices is not None:
        for window in _windows(rows):
            if window is None or choices.as_coarse(replace(window, read_px=None)) != window:
                raise ValueError("a tile was not cut in this way")
            if not choices.may_have_cut(window):
                raise ValueError("a tile was not cut in this way")
    reference = Packing.from_json(packing) if packing else None
    return {"windows": windows, "packing": {} if reference is None else reference.to_json()}


def _windows(rows: TileTable) -> Iterator[Window | None]:
    for tile_id, side_px in zip(rows.column("id"), rows.column(_SIDE)):
        window = split_window(tile_id)[1]
        yield window and replace(window, read_px=side_px)
