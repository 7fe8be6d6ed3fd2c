"""Cut scenes into tiles: the windows of each."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace

from rsretrieve._core.machine.memory import available_bytes
from rsretrieve.data.access import Readable, policy_for
from rsretrieve.data.failures import Failure, first_of
from rsretrieve.data.reading.raster_reader import require_one_readable
from rsretrieve.data.reading.raw_tile import check_tile_size
from rsretrieve.data.reading.scene_facts import read_facts, read_image_facts
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.data.window import Window
from rsretrieve.data.windowing import (
    MAX_WINDOWS,
    SceneFacts,
    WindowChoices,
    count_windows,
    windows_of,
)
from rsretrieve.data.workers.pool import WorkerSlot, worker_slots
from rsretrieve.data.workers.worker import WorkerLost, require_reply
from rsretrieve.errors import NoUsableTiles, TileError, TilesNotFound

_MANY_WINDOWS, _SAMPLES_PER_SIDE = 5_000, 4
_WINDOW_BYTES = 500  # of memory, for one window as a tile
_SLOTS = 2  # scenes opened at once; more would not help: only damaged ones take long


def cut_scenes(
    scenes: TileSet, choices: WindowChoices, context: RunContext, max_windows: int = MAX_WINDOWS
) -> TileSet:
    """Cut every image of a set into windows; windows named by a list stay as they are.

    Args:
        scenes: the images; only their headers are read.
        choices: how they are cut.
        context: records scenes that cannot be opened or have too many windows.
        max_windows: the highest number of windows of one scene.

    Returns:
        The windows, scene by scene, each in the order of its blocks, with the scene's label.

    Raises:
        NoUsableTiles: no scene can be opened.
        TilesNotFound: no scene is as large as a window.
    """
    tiles: list[Tile] = []
    small, uneven, unseen = 0, 0, list[Tile]()
    for scene, facts in _facts_of(scenes, choices, max_windows):
        try:
            if isinstance(facts, TileError):
                raise facts
            windows = _windows_of(scene, facts, choices, max_windows, context)
        except TileError as error:
            context.add_failure(Failure(scene, error.reason))
            unseen.append(scene)
            continue
        uneven += facts is not None and facts.pixel_varies and choices.resolution_m is not None
        small += not windows and (facts is None or facts.stored is None)
        tiles.extend(scene if scene.window else _cut(scene, window) for window in windows)
    if not tiles:
        raise _nothing_cut(scenes, choices, context)
    notices = scenes.notices
    if small:
        notices += (f"scenes left out as smaller than a window: {small} (--edges pad keeps them)",)
    if uneven:
        notices += (
            "scenes whose pixels differ in size on the ground by more than 10 % from their centre, "
            f"where --resolution is exact: {uneven}",
        )
    return replace(
        scenes,
        tiles=tuple(tiles),
        notices=notices,
        windows=choices,
        unseen=(*scenes.unseen, *(f"{scene.id}#" for scene in unseen)),
        unseen_files=tuple((scene.location.absolute(), scene.id) for scene in unseen),
    )


def facts_of_images(images: TileSet) -> dict[str, SceneFacts]:
    """Read the headers of images, by tile id; those that cannot be opened are left out.

    Args:
        images: the images.
    """
    readable = Readable.of(images, images.folders)

    def facts_of(slot: WorkerSlot, image: Tile) -> SceneFacts | None:
        with suppress(TileError, WorkerLost):  # the reader tells why
            limit_s = image.location.time_limit_s
            facts = slot.call(read_image_facts, image, limit_s, policy_for(image, readable))
            return facts if isinstance(facts, SceneFacts) else None
        return None

    with worker_slots(1) as (slot,):
        answers = [slot.thread.submit(facts_of, slot, image) for image in images]
        found = ((image.id, answer.result()) for image, answer in zip(images, answers))
        return {image_id: facts for image_id, facts in found if facts is not None}


def _cut(scene: Tile, window: Window) -> Tile:
    return replace(scene, id=f"{scene.id}{window}", window=window)


def _facts_of(
    scenes: TileSet, choices: WindowChoices, max_windows: int
) -> Iterator[tuple[Tile, SceneFacts | TileError | None]]:
    """Read the headers of scenes, two at a time; None for windows that a list named."""
    readable = Readable.of(scenes, scenes.folders)

    def facts_of(slot: WorkerSlot, scene: Tile) -> SceneFacts | TileError:
        try:
            policy, limit_s = policy_for(scene, readable), scene.location.time_limit_s
            facts = slot.call(read_facts, scene, limit_s, policy)
            require_reply(isinstance(facts, SceneFacts), "no facts of a scene")
            if sample := _sample_of(scene, facts, choices, max_windows):
                slot.call(require_one_readable, sample, limit_s, policy)
            return facts
        except TileError as error:
            return TileError(scene.id, error.reason)
        except WorkerLost as lost:
            return TileError(scene.id, lost.reason)

    asked: list[Future[SceneFacts | TileError] | None] = []
    with worker_slots(min(_SLOTS, len(scenes))) as slots:
        for number, scene in enumerate(scenes):
            slot = slots[number % len(slots)]
            work = None if scene.window else slot.thread.submit(facts_of, slot, scene)
            asked.append(work)
        for scene, answer in zip(scenes, asked):
            yield scene, None if answer is None else answer.result()


def _sample_of(
    scene: Tile, facts: SceneFacts, choices: WindowChoices, max_windows: int
) -> list[Tile]:
    """Windows spread over a scene that declares very many; empty for other scenes.

    They are read as a check: a file of a few bytes may declare the size of a country.
    """
    if choices.resolution_m is not None and facts.pixel_m is None:
        return []
    if facts.stored is not None or not _MANY_WINDOWS < count_windows(facts, choices) <= max_windows:
        return []
    size = choices.window_px
    rows, cols = (
        range(0, max(1, side - size), max(1, side // _SAMPLES_PER_SIDE))
        for side in (facts.height, facts.width)
    )
    return [_cut(scene, Window(col, row, size, size)) for row in rows for col in cols]


def _windows_of(
    scene: Tile,
    facts: SceneFacts | None,
    choices: WindowChoices,
    max_windows: int,
    context: RunContext,
) -> list[Window]:
    if facts is None:
        return [scene.window] if scene.window else []
    if choices.resolution_m is not None and facts.pixel_m is None:
        raise TileError(scene.id, "has no georeference, which --resolution needs")
    count = count_windows(facts, choices)
    if count > max_windows:
        raise TileError(
            scene.id, f"has {count:,} windows, and --max-windows allows {max_windows:,} of a scene"
        )
    if facts.stored is None and count * _WINDOW_BYTES > available_bytes() // 2:
        gigabytes = count * _WINDOW_BYTES / 1e9
        raise TileError(
            scene.id,
            f"has {count:,} windows; listing them takes {gigabytes:.1f} GB, more than half of the "
            "free memory: give a larger --stride or --window",
        )
    windows = list(windows_of(facts, choices))
    if facts.stored is not None:
        context.unread += count - len(windows)
    for window in windows[:1]:  # all have one size
        check_tile_size(scene.id, *window.shape_px)
    return windows


def _nothing_cut(scenes: TileSet, choices: WindowChoices, context: RunContext) -> Exception:
    if context.failures:
        if len(scenes) == 1:
            return NoUsableTiles(f"{scenes.source}: {context.failures[0].reason}")
        first = first_of(context.failures)
        return NoUsableTiles(f"{scenes.source}: none of {len(scenes)} scenes can be used{first}")
    if context.unread:
        return NoUsableTiles(f"{scenes.source}: all {context.unread} windows are nodata")
    at = f" at {choices.resolution_m:g} m" if choices.resolution_m is not None else ""
    return TilesNotFound(
        f"{scenes.source}: no scene is as large as a window of {choices.window_px} px{at}",
        hint="give a smaller --window, or --edges pad",
    )
