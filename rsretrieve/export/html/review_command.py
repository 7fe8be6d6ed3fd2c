"""The command that applies the decisions of a page, for tiles that Python code named."""

from __future__ import annotations

import shlex

from rsretrieve._core.paths import Location
from rsretrieve.audit.decisions.saved_decisions import Decision, Disagreement, LabelsOrigin
from rsretrieve.data.tile import TileSet
from rsretrieve.data.windowing import DEFAULT_MAX_NODATA, WindowChoices
from rsretrieve.enums import Edges
from rsretrieve.export.html.page_request import ReviewSettings


def review_settings(
    tiles: TileSet,
    origin: LabelsOrigin,
    earlier: tuple[Decision, ...],
    disagreements: tuple[Disagreement, ...] = (),
) -> ReviewSettings:
    """How the decisions on tiles are applied.

    Args:
        tiles: the tiles that the page shows.
        origin: where their labels come from.
        earlier: decisions that were applied before.
        disagreements: tiles that several reviewers gave different labels.
    """
    source = Location.parse(tiles.source).absolute()
    words = ["rsretrieve", "audit-labels", source, *_window_words(tiles.windows)]
    if origin.file not in ("", source):
        words += ["--labels", origin.file]
    words += ["--decisions", "decisions.csv", "--fixed-labels", "decided.csv"]
    return ReviewSettings(shlex.join(words), origin, earlier, disagreements)


def _window_words(windows: WindowChoices | None) -> list[str]:
    if windows is None:
        return []
    words = ["--window", str(windows.window_px)]
    if windows.max_nodata != DEFAULT_MAX_NODATA:
        words += ["--max-nodata", str(windows.max_nodata)]
    if windows.stride_px is not None:
        words += ["--stride", str(windows.stride_px)]
    if windows.resolution_m is not None:
        words += ["--resolution", str(windows.resolution_m)]
    return words + (["--edges", windows.edges.value] if windows.edges is not Edges.DROP else [])
