"""Place tiles whose ids are windows of scenes that lie beside the file of embeddings."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.compute as pc
from numpy.typing import NDArray

from rsretrieve._core.paths import Location
from rsretrieve.data.access import Readable, policy_for
from rsretrieve.data.geo.place import Place
from rsretrieve.data.notes import Note, known_notes
from rsretrieve.data.reading.scene_facts import WindowsOfScene, are_places, read_window_places
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile
from rsretrieve.data.window import split_window
from rsretrieve.data.workers.pool import WorkerSlot, worker_slots
from rsretrieve.data.workers.worker import WorkerLost, require_reply
from rsretrieve.errors import InvalidArgument, TileError
from rsretrieve.index.external.mapped_rows import MappedRows, blocks_of
from rsretrieve.index.external.places.place_columns import PLACE_COLUMNS, table_of_places
from rsretrieve.index.store.tile_schema import SCHEMA
from rsretrieve.index.store.tile_table import TileTable

_AT_ONCE = 20_000  # windows of a call
_WINDOW = r"#\d{1,9},\d{1,9},[1-9]\d{0,8},[1-9]\d{0,8}$"  # as `split_window` reads them


def with_scene_places(folder: Path, table: TileTable, context: RunContext) -> TileTable:
    """Give tiles without a place that of their window, and tiles without a path their scene.

    Who wrote the ids is not trusted: only files below `folder` are opened, in a confined process.

    Args:
        folder: the folder of the file of embeddings.
        table: the tiles.
        context: receives notices of scenes that are missing or cannot be read.
    """
    if not any(len(_lacking(block)) for block in blocks_of(table)):
        return table
    placed = MappedRows(len(table))
    with worker_slots(1) as (slot,):
        for block in blocks_of(table):
            placed.append(_with_places(slot, folder, block, context))
    return placed.table()


def _lacking(columns: pyarrow.Table) -> NDArray[np.int64]:
    """The rows that are windows without a place."""
    lacking = pc.and_(
        pc.invert(columns.column("crs").is_valid()),
        pc.match_substring_regex(columns.column("id"), _WINDOW),
    )
    return np.flatnonzero(lacking.to_numpy())


def _with_places(
    slot: WorkerSlot, folder: Path, columns: pyarrow.Table, context: RunContext
) -> pyarrow.Table:
    """Some rows with the places of their windows."""
    rows = _lacking(columns)
    if not len(rows):
        return columns
    ids = columns.column("id").take(pyarrow.array(rows)).to_pylist()
    scenes: dict[str, list[int]] = defaultdict(list)
    for i, tile_id in enumerate(ids):
        scenes[split_window(tile_id)[0]].append(i)
    places: list[Place | None] = [None] * len(ids)
    paths = [""] * len(ids)
    for name, which in scenes.items():
        path = _beside(folder, name)
        if path is None:
            _note(context, [ids[i] for i in which], Note.NO_SCENE)
            continue
        for start in range(0, len(which), _AT_ONCE):
            part = which[start : start + _AT_ONCE]
            placed = _placed(slot, path, [ids[i] for i in part], context)
            for i, place in zip(part, placed):
                places[i], paths[i] = place, str(path)
    return _replaced(columns, rows.tolist(), places, paths)


def _beside(folder: Path, name: str) -> Path | None:
    """The scene of an id, if it is a file below the folder; links that lead out do not count."""
    if not Location.parse(name).is_local or "\0" in name or os.path.isabs(name):  # noqa: PTH117
        return None
    real = Path(os.path.realpath(folder / name))
    root = Path(os.path.realpath(folder))
    return real if real.is_relative_to(root) and real != root and real.is_file() else None


def _placed(
    slot: WorkerSlot, path: Path, ids: list[str], context: RunContext
) -> list[Place | None]:
    """The places of windows of one scene."""
    scene = Tile(split_window(ids[0])[0], str(path))
    try:
        windows = [split_window(tile_id)[1] for tile_id in ids]
        request = WindowsOfScene(scene, [window for window in windows if window is not None])
        policy = policy_for(scene, Readable.of([scene]))
        answer = slot.call(read_window_places, request, scene.location.time_limit_s, policy)
        require_reply(are_places(answer, len(ids)), "not one place a window")
    except (TileError, WorkerLost, InvalidArgument, OSError):
        _note(context, ids, Note.SCENE_UNREAD)
        return [None] * len(ids)
    for tile_id, (_, remark) in zip(ids, answer):
        if remark is not None:
            context.add_notes(tile_id, known_notes((remark,)))
    return [place for place, _ in answer]


def _note(context: RunContext, ids: list[str], note: Note) -> None:
    for tile_id in ids:
        context.add_notes(tile_id, (note,))


def _replaced(
    columns: pyarrow.Table, rows: list[int], places: list[Place | None], paths: list[str]
) -> pyarrow.Table:
    placed = table_of_places(places)
    source = np.arange(len(columns))
    source[rows] = len(columns) + np.arange(len(rows))
    known = columns.column("path").to_pylist()
    for row, path in zip(rows, paths):
        known[row] = known[row] or path
    new = {"path": pyarrow.array(known, pyarrow.string())}
    for name in PLACE_COLUMNS:
        joined = pyarrow.chunked_array([*columns.column(name).chunks, *placed.column(name).chunks])
        new[name] = joined.take(pyarrow.array(source))
    for name, values in new.items():
        at = columns.schema.get_field_index(name)
        columns = columns.set_column(at, SCHEMA.field(name), values)
    return columns
