"""Find tiles: a folder, a list, a scene, a URL or STAC items become a `TileSet`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from rsretrieve._core.atomic_write import resolved
from rsretrieve._core.paths import Location
from rsretrieve._core.tables import TABLE_SUFFIXES, Row, read_table, write_csv
from rsretrieve.data.access import hosts_of
from rsretrieve.data.address_guard import allow_typed
from rsretrieve.data.discovery.folders import Unlisted, image_files
from rsretrieve.data.discovery.scenes import cut_scenes
from rsretrieve.data.discovery.stac import stac_tiles
from rsretrieve.data.failures import Failure
from rsretrieve.data.labels.labels import override_labels, some_of
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile, TileSet, Trust
from rsretrieve.data.window import Window, split_window
from rsretrieve.data.windowing import SceneChoices
from rsretrieve.errors import InputError, InvalidArgument, NoUsableTiles, TableError, TilesNotFound


def find_tiles(
    source: Path | str,
    labels: Path | None = None,
    scenes: SceneChoices = SceneChoices(),
    context: RunContext | None = None,
) -> TileSet:
    """Find the tiles that `source` names.

    Args:
        source: a folder (class sub-folders are the labels); a CSV or Parquet list with the
            columns `tile`, optionally `path` and `label`; a scene, by a path, a URL or a name
            in GDAL's virtual file systems; a STAC item, or a folder of them.
        labels: a CSV with `tile,label` whose labels replace those found.
        scenes: whether and how images are cut into windows, and which assets are meant.
        context: takes the scenes that cannot be opened; without one, the first ends the search. And
            the folders that cannot be listed; without one, a notice says so.

    Returns:
        The tiles, sorted by id for a folder, in the list's order for a list; the windows of
        a scene in the order of its blocks.

    Raises:
        TilesNotFound: there is no such place, or no tile in it.
        TableError: the list, or the labels file, cannot be read as one.
        InputError: not a STAC item, or no such asset.
        NoUsableTiles: not one scene can be opened, or no folder can be listed.
        LabelsError: the labels file does not fit the tiles.
    """
    unlisted = Unlisted(str(source))
    tiles = _images(str(source), scenes, unlisted)
    if not tiles.tiles:
        unlisted.raise_if_all()
        raise TilesNotFound(
            f"{source}: no tiles in it",
            hint="tiles are images such as .jpg, .png or .tif, in class sub-folders or not",
        )
    tiles = unlisted.told(_with_names_in_utf8(tiles, context), context)
    tiles = _trusted(tiles) if scenes.trusted else _with_hosts_told(tiles)
    if scenes.windows is not None:
        tiles = cut_scenes(
            tiles, scenes.windows, context or RunContext(strict=True), scenes.max_windows
        )
    return override_labels(tiles, labels) if labels is not None else tiles


def _trusted(tiles: TileSet) -> TileSet:
    """The same tiles, with all that their files name."""
    return replace(tiles, tiles=tuple(replace(tile, trust=Trust.TRUSTED) for tile in tiles))


def _with_hosts_told(tiles: TileSet) -> TileSet:
    hosts = hosts_of(tiles)
    if not hosts:
        return tiles
    return tiles.with_notices(f"{tiles.source} names tiles that are fetched from {some_of(hosts)}")


def _with_names_in_utf8(tiles: TileSet, context: RunContext | None) -> TileSet:
    """Leave out those whose names no table can hold.

    Raises:
        NoUsableTiles: none is left.
    """
    misnamed = [i for i, tile in enumerate(tiles) if not _is_utf8(tile.id + tile.path)]
    if not misnamed:
        return tiles
    left_out = f"tiles left out because their names are not UTF-8: {len(misnamed)}"
    if len(misnamed) == len(tiles):
        raise NoUsableTiles(f"{tiles.source}: {left_out}", hint="rename them")
    kept = tiles.select(sorted(set(range(len(tiles))) - set(misnamed)))
    if context is None:
        return kept.with_notices(left_out)
    for i in misnamed:
        context.add_failure(Failure(tiles[i], "its name is not UTF-8: rename it"))
    return kept


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _images(source: str, scenes: SceneChoices, unlisted: Unlisted) -> TileSet:
    """The images that `source` names, whole."""
    path, location = Path(source), Location.parse(source)
    if not location.is_local:
        allow_typed(source)  # what an item there names on the same host is fetched, too
    elif path.is_dir():
        return _images_in_folder(path, scenes, unlisted)
    if location.name.lower().endswith((".json", ".geojson")):
        return stac_tiles(source, scenes.assets, unlisted)
    if scenes.assets:
        raise InputError(f"{source} is no STAC item, and has no assets to choose by --asset")
    if not location.is_local:
        return _single_scene(location, scenes)
    if path.suffix.lower() in TABLE_SUFFIXES and path.is_file():
        return _tiles_in_list(path)
    if path.exists():
        return _single_scene(location, scenes)
    raise TilesNotFound(f"{source}: no such folder or list")


def _images_in_folder(folder: Path, scenes: SceneChoices, unlisted: Unlisted) -> TileSet:
    found = () if scenes.assets else tuple(_tiles_in_folder(folder, unlisted))
    if not found:
        return stac_tiles(str(folder), scenes.assets, unlisted)
    return TileSet(str(folder), found, folders=(str(folder),))


def _single_scene(source: Location, scenes: SceneChoices) -> TileSet:
    if scenes.windows is None:
        raise TilesNotFound(
            f"{source.text} is neither a folder nor a list of tiles",
            hint="a scene is cut into tiles by --window PX; otherwise give a folder of images, "
            f"or a list ({', '.join(TABLE_SUFFIXES)})",
        )
    return TileSet(source.text, (Tile(source.name, source.text, trust=Trust.NAMED),))


def _tiles_in_folder(root: Path, unlisted: Unlisted) -> Iterator[Tile]:
    for path in image_files(root, unlisted):
        relative = PurePosixPath(path.relative_to(root).as_posix())
        label = relative.parts[0] if len(relative.parts) > 1 else None
        yield Tile(id=str(relative), path=str(path), label=label)


def _tiles_in_list(source: Path) -> TileSet:
    tiles: dict[str, Tile] = {}
    repeated, folder = 0, str(source.parent)
    for line, row in read_table(source, ("tile",)):
        tile = _tile_of_row(source, folder, line, row)
        known = tiles.setdefault(tile.id, tile)
        if known is not tile:
            repeated += 1
            if known != tile:
                raise TableError(
                    f"{source}: line {line} names tile {tile.id!r} a second time, with another "
                    "path or label",
                    hint="keep one row for each tile",
                )
    notices = (f"{source}: {repeated} repeated rows were folded",) if repeated else ()
    return TileSet(str(source), tuple(tiles.values()), notices, folders=(folder,))


def _tile_of_row(source: Path, folder: str, line: int, row: Row) -> Tile:
    tile_id = row["tile"]
    if not tile_id:
        raise TableError(f"{source}: line {line} has an empty tile id")
    try:
        file_part, window = split_window(tile_id)
    except InvalidArgument as error:
        raise TableError(f"{source}: line {line}: {error}") from error
    named = row.get("path") or file_part
    # A list may have a million lines, and a `Path` for each would take as long as all the rest.
    path = os.path.join(folder, named) if Location.parse(named).is_local else named  # noqa: PTH118
    if window is not None and row.get("read_px"):
        window = _read_at(window, row["read_px"], f"{source}: line {line}")
    return Tile(id=tile_id, path=path, label=row.get("label") or None, window=window)


def _read_at(window: Window, side_px: str, where: str) -> Window:
    try:
        return replace(window, read_px=int(side_px))
    except ValueError as error:  # no number, or none that makes sense
        raise TableError(f"{where}: read_px is no number of pixels: {side_px!r}") from error


def tiles_of_images(images: Sequence[str], trust: Trust = Trust.NAMED) -> TileSet:
    """Image files, or URLs, that the user named one by one, as tiles without labels; each once.

    A window of an image is named `FILE#col,row,width,height`, unless there is a file of
    just that name.
    """
    tiles = []
    for name in dict.fromkeys(images):
        path, window = (name, None) if Path(name).exists() else split_window(name)
        tiles.append(Tile(id=name, path=path, window=window, trust=trust))
    return TileSet("the images", tuple(tiles))


def write_list(path: Path, tiles: TileSet, *, overwrite: bool) -> None:
    """Write a list of tiles (CSV: tile, path, label), paths relative to the list's folder.

    Where scenes are read coarser than they are, a column `read_px` says so.
    """
    folder = resolved(path).parent
    columns: tuple[str, ...] = ("tile", "path", "label")
    rows = [(tile.id, _relative(tile.location, folder), tile.label or "") for tile in tiles]
    sides = [(tile.window and tile.window.read_px) or "" for tile in tiles]
    if any(sides):
        columns += ("read_px",)
        write_csv(path, columns, ((*r, s) for r, s in zip(rows, sides)), overwrite=overwrite)
    else:
        write_csv(path, columns, rows, overwrite=overwrite)


def _relative(location: Location, folder: Path) -> str:
    if not location.is_local:
        return location.text
    return Path(os.path.relpath(location.absolute(), folder)).as_posix()
