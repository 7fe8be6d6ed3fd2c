"""Find the tiles of a folder, a list, a scene, a URL or STAC items."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rsretrieve._core.paths import Location, storable
from rsretrieve._core.tables import TABLE_SUFFIXES
from rsretrieve._core.text import some_of
from rsretrieve.data.access import hosts_of
from rsretrieve.data.address_guard import allow_typed
from rsretrieve.data.discovery.band_files import band_notices, stack_bands
from rsretrieve.data.discovery.class_folders import find_class_folders
from rsretrieve.data.discovery.folders import IMAGE_SUFFIXES, read_folder
from rsretrieve.data.discovery.left_out import LeftOut
from rsretrieve.data.discovery.scenes import cut_scenes
from rsretrieve.data.discovery.several_sources import joined
from rsretrieve.data.discovery.stac import stac_tiles
from rsretrieve.data.discovery.tile_list import tiles_in_list
from rsretrieve.data.failures import Failure
from rsretrieve.data.labels.class_names import spelling_notices
from rsretrieve.data.labels.labels import override_labels
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile, TileSet, Trust
from rsretrieve.data.window import is_like_a_window, split_window
from rsretrieve.data.windowing import SceneChoices
from rsretrieve.errors import InputError, NoUsableTiles, TilesNotFound

_IMAGES = tuple(IMAGE_SUFFIXES)


def find_tiles(
    source: Path | str | Sequence[Path | str],
    labels: Path | None = None,
    scenes: SceneChoices = SceneChoices(),
    context: RunContext | None = None,
) -> TileSet:
    """Find the tiles that `source` names.

    Args:
        source: a folder (class sub-folders are the labels); a CSV or Parquet list with the
            columns `tile`, optionally `path`, `label` and `datetime`; a scene, by a path, a URL or
            a name in GDAL's virtual file systems; a STAC item, item collection, collection or
            catalogue, or a folder of items; or several of these.
        labels: a CSV with `tile,label` whose labels replace those found.
        scenes: whether and how images are cut into windows, which assets of STAC items are used,
            and which band files are stacked.
        context: records scenes that cannot be opened, folders that cannot be listed and items that
            cannot be used. Without it, the first such scene raises a `TileError`, and the rest is
            named in a notice.

    Returns:
        The tiles, sorted by id for a folder, in the list's order for a list; the windows of
        a scene in the order of its blocks; several sources one after the other.

    Raises:
        TilesNotFound: `source` does not exist, or holds no tile.
        TableError: the list, or the labels file, cannot be read.
        InputError: `source` is not a STAC item, or an item lacks the asset.
        NoUsableTiles: no scene can be opened, no folder can be listed, or no item can be used.
        LabelsError: the labels file does not fit the tiles.
    """
    sources = [source] if isinstance(source, str | Path) else list(dict.fromkeys(source))
    tiles = joined([_found(str(one), scenes, context) for one in sources])
    if scenes.windows is not None:
        tiles = cut_scenes(
            tiles, scenes.windows, context or RunContext(strict=True), scenes.max_windows
        )
    tiles = override_labels(tiles, labels) if labels is not None else tiles
    if context is not None:
        context.count_classes(tiles)
    return tiles.with_notices(*spelling_notices(tiles.class_names))


def _found(source: str, scenes: SceneChoices, context: RunContext | None) -> TileSet:
    """The images that one source names, not cut into windows."""
    left_out = LeftOut(source)
    tiles = _images(source, scenes, left_out)
    if not tiles.tiles:
        left_out.raise_if_any()
        raise TilesNotFound(
            f"{source}: no tiles in it",
            hint="tiles are images such as .jpg, .png or .tif, in class sub-folders or not",
        )
    if scenes.stack:
        tiles = stack_bands(tiles, scenes.stack, left_out)
    else:
        tiles = tiles.with_notices(*band_notices(tiles))
    tiles = left_out.reported(_with_usable_names(tiles, context), context)
    return _trusted(tiles) if scenes.trusted else _with_notice_of_hosts(tiles)


def _trusted(tiles: TileSet) -> TileSet:
    """The same tiles; files that their files name are opened, too."""
    return replace(tiles, tiles=tuple(replace(tile, trust=Trust.TRUSTED) for tile in tiles))


def _with_notice_of_hosts(tiles: TileSet) -> TileSet:
    hosts = hosts_of(tiles)
    if not hosts:
        return tiles
    return tiles.with_notices(f"{tiles.source} names tiles that are fetched from {some_of(hosts)}")


def _with_usable_names(tiles: TileSet, context: RunContext | None) -> TileSet:
    """Leave out tiles whose names no table can hold, or which a table would take for a window.

    Raises:
        NoUsableTiles: no tile is left.
    """
    reasons = {i: reason for i, tile in enumerate(tiles) if (reason := _why_misnamed(tile))}
    if not reasons:
        return tiles
    counts = Counter(reasons.values())
    left_out = [f"tiles left out because their names {why}: {n}" for why, n in counts.items()]
    if len(reasons) == len(tiles):
        raise NoUsableTiles(f"{tiles.source}: {'; '.join(left_out)}", hint="rename them")
    kept = tiles.select(sorted(set(range(len(tiles))) - set(reasons)))
    if context is None:
        return kept.with_notices(*left_out)
    for i, why in reasons.items():
        one = why.replace("are ", "is ").replace("end ", "ends ")
        context.add_failure(Failure(tiles[i], f"its name {one}: rename it"))
    return kept


def _why_misnamed(tile: Tile) -> str:
    """What is wrong with the names of a tile; empty for nothing."""
    if not _is_utf8(tile.id + tile.path):
        return "are not UTF-8"
    name = tile.path if tile.window is not None else tile.id
    return "end like a window (#col,row,width,height)" if is_like_a_window(name) else ""


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _images(source: str, scenes: SceneChoices, left_out: LeftOut) -> TileSet:
    """The images that `source` names."""
    source = _as_gdal_names_zarr(source)
    path, location = Path(source), Location.parse(source)
    if not location.is_local:
        allow_typed(source)  # assets on the same host may be fetched, too
    elif path.is_dir():
        return _images_in_folder(path, scenes, left_out)
    name = location.name.lower()
    is_page = bool(scenes.assets) and source.lower().startswith(("http://", "https://"))
    if name.endswith((".json", ".geojson")) or (is_page and not name.endswith(_IMAGES)):
        return stac_tiles(source, scenes.assets, left_out, trusted=scenes.trusted)
    if scenes.assets:
        raise InputError(f"{source} is not a STAC item; --asset is for STAC items")
    if not location.is_local:
        return _single_scene(location, scenes)
    if path.suffix.lower() in TABLE_SUFFIXES and path.is_file():
        return tiles_in_list(path)
    if path.exists():
        return _single_scene(location, scenes)
    raise TilesNotFound(f"{source}: no such folder or list")


def _as_gdal_names_zarr(source: str) -> str:
    """The name of a Zarr store, which is a folder, and of an array in it: GDAL wants capitals."""
    if source.lower().startswith("zarr:"):
        return f"ZARR:{source[5:]}"
    if Path(source).suffix.lower() == ".zarr" and Path(source).is_dir():
        return f'ZARR:"{source}"'
    return source


def _images_in_folder(folder: Path, scenes: SceneChoices, left_out: LeftOut) -> TileSet:
    source = str(folder)
    if scenes.assets:
        return stac_tiles(source, scenes.assets, left_out)
    content = read_folder(folder, left_out)
    notices = content.notices(source)
    if not content.images:
        try:
            return stac_tiles(source, (), left_out).with_notices(*notices)
        except TilesNotFound as error:
            raise TilesNotFound("; ".join((error.message, *notices)), hint=error.hint) from error
    ids = [path.relative_to(folder).as_posix() for path in content.images]
    classes = find_class_folders(source, ids, content.subfolders)
    tiles = tuple(
        Tile(id=tile_id, path=str(path), label=classes.label_of(tile_id))
        for tile_id, path in zip(ids, content.images)
    )
    # Stacked bands have labels of their own: their folders are often those of the scenes.
    notices += () if scenes.stack else classes.notices
    return TileSet(source, tiles, notices, folders=(source,))


def _single_scene(source: Location, scenes: SceneChoices) -> TileSet:
    if scenes.windows is None:
        raise TilesNotFound(
            f"{source.text} is neither a folder nor a list of tiles",
            hint="a scene is cut into tiles by --window PX; otherwise give a folder of images, "
            f"or a list ({', '.join(TABLE_SUFFIXES)})",
        )
    return TileSet(source.text, (Tile(source.name, source.text, trust=Trust.NAMED),))


def tiles_of_images(images: Sequence[str], trust: Trust = Trust.NAMED) -> TileSet:
    """Image files or URLs that the user named one by one, as tiles without labels.

    `FILE#col,row,width,height` names a window of an image, unless a file has exactly that name.

    Args:
        images: paths or URLs; repeated ones are ignored.
        trust: how far the files are trusted.
    """
    tiles: dict[str, Tile] = {}
    for name in images:
        path, window = (name, None) if Path(name).exists() else split_window(name)
        tile = Tile(id=storable(name), path=path, window=window, trust=trust)
        tiles.setdefault(tile.id, tile)
    return TileSet("the images", tuple(tiles.values()))
