"""Read and prepare the tiles of a training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve._core.text import some_of
from rsretrieve.data.file_state import FileStates
from rsretrieve.data.labels.splits import split_per_class
from rsretrieve.data.loading.batches import PixelStore, read_into_store, room_for, stream_batches
from rsretrieve.data.preprocessing.band_statistics import measure_preprocessing
from rsretrieve.data.preprocessing.preprocessing import Preprocessing, resized
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.errors import LabelsError, NoUsableTiles
from rsretrieve.network.backbones.rgb_statistics import rgb_statistics
from rsretrieve.training.recipe import Recipe
from rsretrieve.training.validate import Examples

VALIDATION_FRACTION = 0.1
_BATCH = 64


@dataclass(frozen=True)
class PreparedTiles:
    """The tiles of a training, in memory or in a cache file.

    Attributes:
        class_names: the K classes, sorted.
        preprocessing: of every tile.
        tiles: the N training tiles that could be read.
        files: the states of their files before reading.
        train: their pixels and labels.
        validation: pixels and labels of the validation tiles, or None.
    """

    class_names: tuple[str, ...]
    preprocessing: Preprocessing
    tiles: TileSet
    files: FileStates
    train: Examples
    validation: Examples | None


def prepare_tiles(
    tiles: TileSet,
    validation: TileSet | None,
    recipe: Recipe,
    bands: tuple[int, ...],
    seed: int,
    context: RunContext,
) -> PreparedTiles:
    """Split off validation tiles, measure band statistics, and read all tiles.

    Args:
        tiles: training tiles; those without a label are left out.
        validation: validation tiles; by default a tenth of `tiles`, class by class: tiles whose
            label nobody confirmed, as long as there are any.
        recipe: sets the size of the tiles and their normalisation.
        bands: the bands to use, counted from 1; by default all.
        seed: of the split.
        context: takes the tiles that cannot be read, notices and progress.

    Raises:
        LabelsError: fewer than two classes.
        NoUsableTiles: no tile can be read.
    """
    labelled = tiles.labelled()
    if left_out := len(tiles) - len(labelled):
        context.notice(f"{left_out} tiles have no label and are left out of training")
    require_two_classes(labelled)
    train_tiles, validation_tiles = labelled, validation
    if validation_tiles is None:
        shares = (1 - VALIDATION_FRACTION, VALIDATION_FRACTION)
        train_tiles, validation_tiles = split_per_class(
            labelled, shares, seed, confirmed_first=True
        )
    context.start_stage("measuring the tiles")
    known = rgb_statistics(recipe.backbone) if recipe.imagenet_statistics else None
    preprocessing = measure_preprocessing(
        train_tiles,
        recipe.size_px,
        bands,
        rgb_statistics=known,
        reflectance=recipe.reflectance,
    )
    context.start_stage("reading training tiles", len(train_tiles))
    files = FileStates(train_tiles)
    train = read_into_store(train_tiles, preprocessing, context, context.advance)
    if not len(train.tiles):
        raise NoUsableTiles(f"{tiles.source}: none of {len(train_tiles)} tiles can be used")
    names = train.tiles.class_names
    require_two_classes(train.tiles, _unread_classes(train_tiles, train.tiles, context))
    _notice_small_classes(train.tiles, context)
    examples = _examples(train, names)
    held_out = _validation(validation_tiles, names, preprocessing, context)
    if validation is not None and held_out is not None:
        _notice_shared(examples, held_out, context)
    return PreparedTiles(
        class_names=names,
        preprocessing=preprocessing,
        tiles=train.tiles,
        files=files,
        train=examples,
        validation=held_out,
    )


@dataclass(frozen=True)
class TilesReadAgain:
    """The training tiles at another size.

    Attributes:
        pixels: (N, C, S, S) in the tiles' own type. Those of tiles that cannot be read again are
            resized from the pixels of training.
        unread: id → reason, for these tiles.
    """

    pixels: NDArray[Any]
    unread: Mapping[str, str]


def read_again(prepared: PreparedTiles, side_px: int, context: RunContext) -> TilesReadAgain:
    """Read the training tiles again at another size; files may have changed since.

    Args:
        prepared: the tiles.
        side_px: S.
        context: takes progress.

    Raises:
        TileError: a tile cannot be read again, and `context` is strict.
        OSError: the temporary folder has too little room.
    """
    tiles, known = prepared.tiles, prepared.train.pixels
    context.start_stage(f"reading training tiles at {side_px} px", len(tiles))
    wanted = replace(prepared.preprocessing, size_px=side_px)
    shape = (*known.shape[:2], side_px, side_px)
    pixels = room_for(shape, np.dtype(wanted.dtype), "the training tiles at another size")
    rows = {tile.id: row for row, tile in enumerate(tiles)}
    again = RunContext(strict=context.strict)  # the notes about the tiles are known
    for batch in stream_batches(tiles, wanted, _BATCH, again, context.advance):
        for tile, values in zip(batch.tiles, batch.pixels):
            pixels[rows.pop(tile.id)] = values
    for row in rows.values():
        pixels[row] = resized(known[row], side_px)
    reasons = {failure.tile_id: failure.reason for failure in again.failures}
    return TilesReadAgain(pixels, {tile: reasons.get(tile, "left out") for tile in rows})


def _validation(
    tiles: TileSet,
    names: tuple[str, ...],
    preprocessing: Preprocessing,
    context: RunContext,
) -> Examples | None:
    """Read the validation tiles and keep those whose class is trained.

    All are read, so that every unreadable one is reported.
    """
    context.start_stage("reading validation tiles", len(tiles))
    store = read_into_store(tiles, preprocessing, context, context.advance)
    known = [i for i, tile in enumerate(store.tiles) if tile.label in names]
    if left_out := len(store.tiles) - len(known):
        context.notice(
            f"{left_out} validation tiles have no label of a trained class and are left out"
        )
    if not known:
        context.notice("there are no validation tiles: the last epoch counts as the best")
        return None
    if left_out:  # otherwise no copy: the pixels may be larger than memory
        store = PixelStore(store.tiles.select(known), store.pixels[known])
    return _examples(store, names)


def _examples(store: PixelStore, names: tuple[str, ...]) -> Examples:
    numbers = {name: number for number, name in enumerate(names)}
    labels = [numbers[str(tile.label)] for tile in store.tiles]
    confirmed = [tile.confirmed is not None for tile in store.tiles]
    return Examples(store.pixels, np.array(labels, np.int64), np.array(confirmed, bool))


def _notice_shared(train: Examples, validation: Examples, context: RunContext) -> None:
    """Say how many validation tiles have the pixels of a training tile."""
    trained = {blake2b(pixels.tobytes()).digest() for pixels in train.pixels}
    shared = sum(blake2b(pixels.tobytes()).digest() in trained for pixels in validation.pixels)
    if shared:
        context.notice(
            f"{shared} of {len(validation)} validation tiles are training tiles, or copies of "
            "them: validation figures are too high, and which epoch is kept may be wrong "
            "(rsretrieve split makes lists without common tiles)"
        )


def _unread_classes(tiles: TileSet, read: TileSet, context: RunContext) -> str:
    """The classes that have no tile left, with the reason for one of their tiles, in words."""
    gone = sorted({*tiles.class_names} - {*read.class_names})
    labels = {tile.id: tile.label for tile in tiles}
    bad = [failure for failure in context.failures if labels.get(failure.tile_id) in gone]
    if not bad:
        return ""
    return f"; no tile of {some_of(gone)} can be used ({bad[0].tile_id}: {bad[0].reason})"


def require_two_classes(tiles: TileSet, left_out: str = "") -> None:
    """Refuse tiles of fewer than two classes.

    Args:
        tiles: tiles with labels.
        left_out: why other classes are missing, for the message.

    Raises:
        LabelsError: there are fewer.
    """
    names = tiles.class_names
    if len(names) < 2:
        found = f"only {names[0]!r}" if names else "none at all"
        raise LabelsError(
            f"{tiles.source}: training needs tiles of at least two classes, and there is {found}"
            f"{left_out}",
            hint="class sub-folders are the labels, or give --labels FILE.csv (tile,label)",
        )


def _notice_small_classes(tiles: TileSet, context: RunContext) -> None:
    counts = Counter(tile.label for tile in tiles)
    small = sorted(str(name) for name, count in counts.items() if count == 1)
    if small:
        context.notice(
            f"{len(small)} classes have one training tile only ({some_of(small)}): "
            "their labels cannot be compared with others"
        )
