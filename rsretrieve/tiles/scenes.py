"""From scenes to tiles: every window of every scene."""

from __future__ import annotations

from rsretrieve.errors import NoUsableTiles, TileError, TilesNotFound
from rsretrieve.tiles.failures import Failed, FailureLog
from rsretrieve.tiles.rasters import read_facts
from rsretrieve.tiles.raw import check_tile_size
from rsretrieve.tiles.records import Tile, TileSet, Window
from rsretrieve.tiles.sources import time_limit_s
from rsretrieve.tiles.windows import WindowChoices, windows_of
from rsretrieve.tiles.workers import WorkerLost, ask_once


def cut_scenes(scenes: TileSet, choices: WindowChoices, log: FailureLog) -> TileSet:
    """Cut every image of a set into windows; windows that a list named stay as they are.

    Args:
        scenes: the images; only their headers are read.
        choices: how they are cut.
        log: takes the scenes that cannot be opened.

    Returns:
        The windows, scene by scene, each in the order of its blocks, with the scene's label.

    Raises:
        NoUsableTiles: not one scene can be opened.
        TilesNotFound: not one is as large as a window.
    """
    tiles: list[Tile] = []
    small, unseen = 0, scenes.unseen
    for scene in scenes:
        try:
            windows = [scene.window] if scene.window else _windows_of(scene, choices)
        except TileError as error:
            log.add(Failed(scene, error.reason))
            unseen += (f"{scene.id}#",)
            continue
        small += not windows
        tiles.extend(scene if scene.window else _cut(scene, window) for window in windows)
    if not tiles:
        raise _nothing_cut(scenes, choices, log)
    notices = scenes.notices
    if small:
        notices += (f"scenes left out as smaller than a window: {small} (--edges pad keeps them)",)
    return TileSet(scenes.source, tuple(tiles), notices, choices, unseen)


def _cut(scene: Tile, window: Window) -> Tile:
    return Tile(f"{scene.id}{window}", scene.path, scene.label, window, scene.named)


def _windows_of(scene: Tile, choices: WindowChoices) -> list[Window]:
    try:
        facts = ask_once(read_facts, scene, time_limit_s(scene.path))
    except WorkerLost as lost:
        raise TileError(scene.id, lost.reason) from lost
    if choices.resolution_m is not None and facts.pixel_m is None:
        raise TileError(scene.id, "has no georeference to tell --resolution by")
    windows = list(windows_of(facts, choices))
    for window in windows[:1]:  # all are of one size
        check_tile_size(scene.id, *window.shape_px)
    return windows


def _nothing_cut(scenes: TileSet, choices: WindowChoices, log: FailureLog) -> Exception:
    if log.failures:
        bad = log.failures[0]
        first = f" (the first, {bad.tile_id}: {bad.reason})" if len(scenes) > 1 else bad.reason
        if len(scenes) == 1:
            return NoUsableTiles(f"{scenes.source}: {first}")
        return NoUsableTiles(f"{scenes.source}: none of {len(scenes)} scenes can be used{first}")
    at = f" at {choices.resolution_m:g} m" if choices.resolution_m is not None else ""
    return TilesNotFound(
        f"{scenes.source}: no scene is as large as a window of {choices.window_px} px{at}",
        hint="give a smaller --window, or --edges pad",
    )
