"""Embedding a set of tiles: rows, places, failures, progress."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from rsretrieve.data.reading.pillow_reader import read_raw
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.errors import NoUsableTiles, TileError
from rsretrieve.index import embed_tiles as embedding
from rsretrieve.index.embed_tiles import embed_readable_tiles, embed_tiles
from rsretrieve.network.model import Model
from rsretrieve.progress import Advanced, Event, StageStarted


def without_file(tiles: TileSet, *positions: int) -> TileSet:
    changed = [replace(t, path="nowhere") if i in positions else t for i, t in enumerate(tiles)]
    return replace(tiles, tiles=tuple(changed))


@pytest.mark.medium
@pytest.mark.parametrize("batch_size", [1, 5, 128])
def test_every_tile_has_a_row_and_a_place(
    model: Model, tiles: TileSet, monkeypatch: pytest.MonkeyPatch, batch_size: int
) -> None:
    monkeypatch.setattr(embedding, "BATCH_SIZE", batch_size)
    embedded = embed_tiles(model, tiles, RunContext())
    assert embedded.tiles.tiles == tiles.tiles
    assert embedded.vectors.shape == (18, 8)
    assert embedded.seconds > 0
    for tile, place, vector in zip(tiles, embedded.places, embedded.vectors):
        raw = read_raw(tile)
        alone = model.embedder().embed(model.description.preprocessing.apply(tile.id, raw)[None])
        assert place == raw.place
        assert np.abs(vector - alone.numpy()[0]).max() < 1e-5


def test_vectors_are_unit_rows(model: Model, tiles: TileSet) -> None:
    vectors = embed_tiles(model, tiles, RunContext()).vectors
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(18), abs=1e-5)


def test_tiles_that_cannot_be_read_are_logged_and_left_out(model: Model, tiles: TileSet) -> None:
    context = RunContext()
    embedded = embed_tiles(model, without_file(tiles, 0, 7), context)
    whole = embed_tiles(model, tiles, RunContext())
    kept = [i for i in range(18) if i not in (0, 7)]
    assert embedded.tiles == tiles.select(kept)
    assert len(embedded.places) == 16
    assert np.abs(embedded.vectors - whole.vectors[kept]).max() < 1e-5
    assert [(f.tile_id, f.reason) for f in context.failures] == [
        (tiles[0].id, "no such file"),
        (tiles[7].id, "no such file"),
    ]


@pytest.mark.parametrize("positions", [[], [0]])
def test_where_it_is_allowed_no_readable_tiles_give_no_rows(
    model: Model, tiles: TileSet, positions: list[int]
) -> None:
    none_readable = without_file(tiles.select(positions), 0)
    embedded = embed_readable_tiles(model, none_readable, RunContext())
    assert embedded.vectors.shape == (0, 8)
    assert embedded.places == ()


def test_no_tiles_at_all_are_refused(model: Model, tiles: TileSet) -> None:
    message = re.escape(f"{tiles.source}: none of 0 tiles can be used with this model")
    with pytest.raises(NoUsableTiles, match=f"^{message}$"):
        embed_tiles(model, tiles.select([]), RunContext())


def test_tiles_of_which_none_can_be_read_are_refused(model: Model, tiles: TileSet) -> None:
    message = re.escape(
        f"{tiles.source}: none of 2 tiles can be used with this model (the first, {tiles[0].id}: "
        "no such file)"
    )
    with pytest.raises(NoUsableTiles, match=f"^{message}$"):
        embed_tiles(model, without_file(tiles.select([0, 1]), 0, 1), RunContext())


def test_a_strict_log_ends_at_the_first_bad_tile(model: Model, tiles: TileSet) -> None:
    with pytest.raises(TileError, match=f"^{re.escape(tiles[3].id)}: no such file$"):
        embed_tiles(model, without_file(tiles, 3, 4), RunContext(strict=True))


@pytest.mark.medium
def test_the_listener_hears_of_every_tile_bad_ones_too(model: Model, tiles: TileSet) -> None:
    events: list[Event] = []
    embed_tiles(model, without_file(tiles, 3), RunContext(listener=events.append))
    assert events[0] == StageStarted("embedding tiles", 18)
    assert sum(event.tiles for event in events[1:] if isinstance(event, Advanced)) == 18
