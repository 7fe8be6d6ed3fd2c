"""The assets of STAC items as tiles."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rsretrieve._core.paths import Location, stack_path
from rsretrieve.data.discovery.class_folders import find_class_folders
from rsretrieve.data.discovery.folders import is_system_folder
from rsretrieve.data.discovery.json_documents import place_of, read_json
from rsretrieve.data.discovery.left_out import LeftOut
from rsretrieve.data.discovery.stac_documents import (
    SUFFIXES,
    Document,
    FoundItem,
    Links,
    is_item,
    is_item_collection,
    items_in,
)
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.errors import InputError, TilesNotFound

if TYPE_CHECKING:
    from pystac import Asset, Item

_NOT_RASTERS = ("thumbnail", "overview", "metadata")


def stac_tiles(
    source: str, assets: Sequence[str], left_out: LeftOut, *, trusted: bool = False
) -> TileSet:
    """Find the assets of STAC items: of a document and what it links to, or of a folder.

    A tile's id is the path of the item's file relative to the folder, and the asset's name:
    `2024/item.json/visual`; for an item in a collection, its id stands between them. A first
    sub-folder is the label, as with images.

    Args:
        source: a JSON file (item, item collection, collection, catalogue), by a path or a URL, or
            a folder of items and item collections.
        assets: the names of the assets whose bands form a tile; empty: an item's only raster.
        left_out: records items that cannot be used, and folders that cannot be listed.
        trusted: links are followed wherever they lead.

    Raises:
        InputError: not a STAC document; or it is a single item that lacks the asset, or has
            several rasters.
        TilesNotFound: there is no item.
        NoUsableTiles: none of the items can be used.
    """
    location = Location.parse(source)
    if location.is_local and Path(source).is_dir():
        return _tiles_in_folder(source, assets, left_out)
    found = list(Links(source, left_out, trusted=trusted).items())
    if len(found) == 1 and found[0].place == source and found[0].id == location.name:
        try:
            tiles = [_tile_of(found[0], None, assets)]
        except InputError as error:
            raise InputError(f"{source}: {error.message}", hint=error.hint) from error
    else:
        tiles = _usable(((item, None) for item in found), assets, left_out)
    if not tiles:
        left_out.raise_if_any()
        raise TilesNotFound(f"{source}: no STAC items in it")
    own = (str(Path(source).parent),) if location.is_local else ()
    return TileSet(source, tuple(tiles), folders=own)


def _tiles_in_folder(source: str, assets: Sequence[str], left_out: LeftOut) -> TileSet:
    root = Path(source)
    documents = []
    for path in _json_files(root, left_out):
        content = _read_if_stac(path)
        if content is not None:
            documents.append((Document(str(path), path.relative_to(root).as_posix()), content))
    classes = find_class_folders(source, [document.name for document, _ in documents])
    labelled = (
        (item, classes.label_of(document.name))
        for document, content in documents
        for item in items_in(document, content)
    )
    tiles = _usable(labelled, assets, left_out)
    if not tiles:
        left_out.raise_if_any()
        raise TilesNotFound(
            f"{source}: no {'STAC items' if assets else 'tiles'} in it",
            hint="tiles are images such as .jpg, .png or .tif, in class sub-folders or not, "
            "or assets of STAC items (.json)",
        )
    notices = classes.notices if classes.parts else ()
    return TileSet(source, tuple(tiles), notices, folders=(source,))


def _json_files(root: Path, left_out: LeftOut) -> list[Path]:
    found: list[Path] = []
    for folder, subfolders, names in os.walk(root, onerror=left_out.add_folder):
        subfolders[:] = sorted(
            name for name in subfolders if not name.startswith(".") and not is_system_folder(name)
        )
        paths = (Path(folder, name) for name in names if not name.startswith("."))
        found += [path for path in paths if path.suffix.lower() in SUFFIXES]
    return sorted(found, key=Path.as_posix)


def _read_if_stac(path: Path) -> object | None:
    """The content of an item or an item collection; None for any other file."""
    try:
        content: object = read_json(str(path))
    except (InputError, TilesNotFound):
        return None
    return content if is_item(content) or is_item_collection(content) else None


def _usable(
    items: Iterable[tuple[FoundItem, str | None]], assets: Sequence[str], left_out: LeftOut
) -> list[Tile]:
    """The tiles of items with their labels; the other items are recorded."""
    tiles: dict[str, Tile] = {}
    for item, label in items:
        try:
            tile = _tile_of(item, label, assets)
        except InputError as error:
            left_out.add_item(item.id, item.place, error.message)
            continue
        if tile.id not in tiles:
            tiles[tile.id] = tile
        elif tiles[tile.id] != tile:
            left_out.add_item(tile.id, item.place, "another item has the same id")
    return list(tiles.values())


def _tile_of(found: FoundItem, label: str | None, assets: Sequence[str]) -> Tile:
    """The tile whose bands are those of the assets.

    Raises:
        InputError: it is no STAC item, lacks an asset, or it is unclear which is meant.
    """
    item = _parsed(found)
    names = list(dict.fromkeys(assets)) or [_only_raster(item)]
    if missing := [name for name in names if name not in item.assets]:
        raise InputError(
            f"the item has no asset {missing[0]!r} (its assets are: {_names(item)})",
            hint="choose by --asset NAME",
        )
    try:
        paths = [place_of(item.assets[name].href, found.place) for name in names]
    except ValueError as error:
        raise InputError(f"an asset has an invalid href ({error})") from error
    path = paths[0] if len(paths) == 1 else stack_path(paths)
    return Tile(f"{found.id}/{'+'.join(names)}", path, label)


def _parsed(found: FoundItem) -> Item:
    import pystac

    try:
        item = pystac.Item.from_dict(dict(found.content))
        for name, asset in item.assets.items():
            _require_texts(name, asset)
    except Exception as error:  # pystac raises any type of error for what is no item
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"it cannot be read as a STAC item ({reason})",
            hint="a STAC item is a GeoJSON feature with assets",
        ) from error
    return item


def _require_texts(name: str, asset: Asset) -> None:
    """Check what pystac does not: the types of what is used of an asset."""
    roles = asset.roles if asset.roles is not None else []
    texts = (asset.href, asset.media_type or "", *(roles if isinstance(roles, list) else [None]))
    if not all(isinstance(text, str) for text in texts):
        raise ValueError(f"href, type or roles of the asset {name!r} are not texts")


def _only_raster(item: Item) -> str:
    rasters = [name for name, asset in item.assets.items() if _may_be_raster(asset)]
    if len(rasters) != 1:
        raise InputError(
            f"the item has {len(rasters)} rasters, one must be chosen "
            f"(its assets are: {_names(item)})",
            hint="choose by --asset NAME; several --asset are the bands of one tile",
        )
    return rasters[0]


def _may_be_raster(asset: Asset) -> bool:
    """Decide by the media type, or by the name without one; thumbnails are excluded by role."""
    if set(asset.roles or ()).intersection(_NOT_RASTERS):
        return False
    if asset.media_type:
        return asset.media_type.startswith("image/")
    return (
        Location.parse(asset.href)
        .name.lower()
        .endswith((".tif", ".tiff", ".jp2", ".vrt", ".png", ".jpg"))
    )


def _names(item: Item) -> str:
    return ", ".join(item.assets) or "none"
