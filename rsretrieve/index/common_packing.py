"""The scale and offset to which the tiles of an index are converted.

A model keeps those of its training tiles. If these declared none, an index keeps those of its own
tiles, so that all of its vectors, and the queries, are of one unit.
"""

from __future__ import annotations

from pathlib import Path

from rsretrieve.data.pixels.packing import Packing
from rsretrieve.data.profile.declared_packing import declared_packings
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.errors import IndexDamaged
from rsretrieve.index.compatibility import HasDescription
from rsretrieve.index.store.folder import IndexStore
from rsretrieve.index.store.manifest import Manifest


def packing_of_tiles(model: HasDescription, tiles: TileSet, context: RunContext) -> Packing | None:
    """The scale and offset that most tiles of a set declare, if a model knows none.

    Args:
        model: the model.
        tiles: the tiles; a sample of their headers is read.
        context: receives a notice if the tiles may have values of another unit than the model's.

    Returns:
        None if the model keeps its own, or no tile declares any.
    """
    found = _declared(model, tiles)
    if not found:
        return None
    others = "; the values of tiles that declare others are converted" if len(found) > 1 else ""
    context.notice(
        f"the tiles declare a scale and an offset ({found[0]}), and the training tiles of the "
        f"model declared none: their values are used as they are stored{others}"
    )
    return found[0]


def packing_of_index(store: IndexStore, model: HasDescription) -> Packing | None:
    """The scale and offset to which the tiles of an index were converted, if the index keeps them.

    Args:
        store: the index; old ones keep none.
        model: its model.

    Raises:
        IndexDamaged: the index keeps those of another number of bands than the model has.
    """
    return packing_of_manifest(store.folder, store.manifest, model)


def packing_of_manifest(folder: Path, manifest: Manifest, model: HasDescription) -> Packing | None:
    """As `packing_of_index`, for an index of which only the manifest is known.

    Raises:
        IndexDamaged: the index keeps those of another number of bands than the model has.
    """
    packing, bands = manifest.reference, model.description.preprocessing.source_bands
    if packing is not None and len(packing.scales) != bands:
        raise IndexDamaged(
            f"the manifest of {folder} keeps the scales of {len(packing.scales)} bands, and "
            f"its model has {bands}",
            hint="build the index again",
        )
    return packing


def packing_of_update(
    model: HasDescription, tiles: TileSet, store: IndexStore, context: RunContext
) -> Packing | None:
    """The scale and offset for the tiles that an update adds to an index.

    Args:
        model: the model of the index.
        tiles: the tiles of today.
        store: the index. If it keeps none, its tiles decide: their values were used as they are
            stored.
        context: receives notices.
    """
    if (packing := packing_of_index(store, model)) is not None:
        return packing
    known = set(store.rows.column("id"))
    before = tiles.select([i for i, tile in enumerate(tiles) if tile.id in known])
    found = _declared(model, before)
    if not found:
        return packing_of_tiles(model, tiles, context)
    if len(found) > 1:
        context.notice(
            f"the tiles of the index declare {len(found)} different scales or offsets, and it was "
            "made without converting them: their similarities are not reliable; build the index "
            "again with --overwrite"
        )
    return found[0]


def _declared(model: HasDescription, tiles: TileSet) -> list[Packing]:
    preprocessing = model.description.preprocessing
    if preprocessing.packing is not None or not len(tiles):
        return []
    return declared_packings(tiles, preprocessing.expected)
