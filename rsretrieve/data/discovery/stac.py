"""The assets of STAC items as tiles."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from rsretrieve._core.paths import Location
from rsretrieve.data.discovery.folders import Unlisted
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.errors import InputError, TilesNotFound

if TYPE_CHECKING:
    from pystac import Asset, Item

_NOT_RASTERS = ("thumbnail", "overview", "metadata")


def stac_tiles(source: str, assets: Sequence[str], unlisted: Unlisted) -> TileSet:
    """Find the assets of a STAC item, or of all items in a folder and its sub-folders.

    A tile's id is the path of the item's file relative to the folder, and the asset's name:
    `2024/item.json/visual`. A first sub-folder is the label, as with images.

    Args:
        source: a JSON file, by a path or a URL, or a folder.
        assets: the names of the assets; empty: an item's only raster.
        unlisted: records folders that cannot be listed.

    Raises:
        InputError: not a STAC item, or an item lacks the asset, or has several rasters.
        TilesNotFound: the folder holds no item.
    """
    location = Location.parse(source)
    if not location.is_local or not Path(source).is_dir():
        item = _read_item(source)
        tiles = list(_tiles_of(item, location.name, None, source, assets))
        own = (str(Path(source).parent),) if location.is_local else ()
        return TileSet(source, tuple(tiles), folders=own)
    root = Path(source)
    tiles = []
    for path in _item_files(root, unlisted):
        relative = PurePosixPath(path.relative_to(root).as_posix())
        label = relative.parts[0] if len(relative.parts) > 1 else None
        tiles += _tiles_of(_read_item(str(path)), str(relative), label, str(path), assets)
    if not tiles:
        unlisted.raise_if_any()
        raise TilesNotFound(
            f"{source}: no {'STAC items' if assets else 'tiles'} in it",
            hint="tiles are images such as .jpg, .png or .tif, in class sub-folders or not, "
            "or assets of STAC items (.json)",
        )
    return TileSet(source, tuple(tiles), folders=(source,))


def _item_files(root: Path, unlisted: Unlisted) -> list[Path]:
    """The STAC items among the JSON files of a folder, without catalogues and collections."""
    found = []
    for folder, subfolders, names in os.walk(root, onerror=unlisted.add):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        paths = (Path(folder, name) for name in names if not name.startswith("."))
        found += [path for path in paths if path.suffix.lower() in (".json", ".geojson")]
    return sorted((path for path in found if _is_item(path)), key=Path.as_posix)


def _is_item(path: Path) -> bool:
    try:
        if not path.is_file():  # opening a pipe would block
            return False
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and content.get("type") == "Feature" and "assets" in content


def _read_item(source: str) -> Item:
    import pystac

    try:
        return pystac.Item.from_file(source)
    except FileNotFoundError as error:
        raise TilesNotFound(f"{source}: no such file") from error
    except Exception as error:  # pystac raises what JSON, HTTP and its own checks raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"{source} cannot be read as a STAC item ({reason})",
            hint="a .json file among TILES is a STAC item: a GeoJSON feature with assets",
        ) from error


def _tiles_of(
    item: Item, item_id: str, label: str | None, source: str, assets: Sequence[str]
) -> Iterator[Tile]:
    for name in assets or (_only_raster(item, source),):
        asset = item.assets.get(name)
        if asset is None:
            raise InputError(
                f"{source}: the item has no asset {name!r} (its assets are: {_names(item)})",
                hint="choose by --asset NAME",
            )
        yield Tile(f"{item_id}/{name}", _path_of(asset, source), label)


def _only_raster(item: Item, source: str) -> str:
    rasters = [name for name, asset in item.assets.items() if _may_be_raster(asset)]
    if len(rasters) != 1:
        raise InputError(
            f"{source}: the item has {len(rasters)} rasters, one must be chosen "
            f"(its assets are: {_names(item)})",
            hint="choose by --asset NAME",
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


def _path_of(asset: Asset, source: str) -> str:
    """The path of an asset: absolute as given, or relative to the item's file.

    The item's own link `self` is ignored: it may name another place.
    """
    from urllib.request import url2pathname

    href = asset.href
    if href.startswith("file://"):
        return url2pathname(urlsplit(href).path)
    if not Location.parse(href).is_local:
        return href
    if "://" in source:
        return urljoin(source, href)
    return os.path.normpath(os.path.join(os.path.dirname(source), href))  # noqa: PTH118, PTH120


def _names(item: Item) -> str:
    return ", ".join(item.assets) or "none"
