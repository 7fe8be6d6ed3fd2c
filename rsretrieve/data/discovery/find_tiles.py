"""Find the tiles of a folder, a list, a scene, a URL or STAC items."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rsretrieve._core.atomic_write import resolved
from rsretrieve._core.paths import Location, stack_path, storable
from rsretrieve._core.tables import (
    TABLE_SUFFIXES,
    Row,
    columns_of,
    encoding_notices,
    read_table,
    write_csv,
)
from rsretrieve.data.access import hosts_of
from rsretrieve.data.address_guard import allow_typed
from rsretrieve.data.dates.given_dates import DATE_COLUMNS, GivenDates
from rsretrieve.data.discovery.band_files import band_notices, stack_bands
from rsretrieve.data.discovery.class_folders import find_class_folders
from rsretrieve.data.discovery.folders import IMAGE_SUFFIXES, read_folder
from rsretrieve.data.discovery.left_out import LeftOut
from rsretrieve.data.discovery.scenes import cut_scenes
from rsretrieve.data.discovery.several_sources import joined
from rsretrieve.data.discovery.stac import stac_tiles
from rsretrieve.data.failures import Failure
from rsretrieve.data.labels.class_names import spelling_notices
from rsretrieve.data.labels.decided_rows import DECISION_COLUMNS, DecisionColumn, decision_cells
from rsretrieve.data.labels.labels import (
    LabelColumn,
    override_labels,
    some_of,
)
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile, TileSet, Trust
from rsretrieve.data.window import Window, split_window
from rsretrieve.data.windowing import SceneChoices
from rsretrieve.errors import InputError, InvalidArgument, NoUsableTiles, TableError, TilesNotFound

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
    tiles = left_out.reported(_with_names_in_utf8(tiles, context), context)
    return _trusted(tiles) if scenes.trusted else _with_notice_of_hosts(tiles)


def _trusted(tiles: TileSet) -> TileSet:
    """The same tiles; files that their files name are opened, too."""
    return replace(tiles, tiles=tuple(replace(tile, trust=Trust.TRUSTED) for tile in tiles))


def _with_notice_of_hosts(tiles: TileSet) -> TileSet:
    hosts = hosts_of(tiles)
    if not hosts:
        return tiles
    return tiles.with_notices(f"{tiles.source} names tiles that are fetched from {some_of(hosts)}")


def _with_names_in_utf8(tiles: TileSet, context: RunContext | None) -> TileSet:
    """Leave out tiles whose names are not UTF-8: no table can hold these.

    Raises:
        NoUsableTiles: no tile is left.
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
        return _tiles_in_list(path)
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


def _tiles_in_list(source: Path) -> TileSet:
    tiles: dict[str, Tile] = {}
    repeated, folder = 0, str(source.parent)
    labels, decisions, dates = LabelColumn(source), DecisionColumn(source), GivenDates(source)
    dated = not {*columns_of(source)}.isdisjoint(DATE_COLUMNS)
    for line, row in read_table(source, ("tile",)):
        tile = _tile_of_row(source, folder, line, row, labels)
        confirmed = decisions.read(tile.id, tile.label, row, line)
        taken = dates.read(row, f"line {line}") if dated else None
        tile = replace(tile, confirmed=confirmed, taken=taken) if confirmed or taken else tile
        known = tiles.setdefault(tile.id, tile)
        if known is not tile:
            repeated += 1
            if known != tile:
                is_dated = replace(known, taken=tile.taken) == tile
                what = "date" if is_dated else "path or label"
                raise TableError(
                    f"{source}: line {line} names tile {tile.id!r} again, with another {what}",
                    hint="keep one row for each tile",
                )
    notices = (*encoding_notices(source), *labels.notices, *decisions.notices, *dates.notices)
    if repeated:
        notices += (f"{source}: {repeated} repeated rows were ignored",)
    labelled = source if "label" in columns_of(source) else None
    found = tuple(tiles.values())
    return TileSet(str(source), found, notices, folders=(folder,), labels_file=labelled)


def _tile_of_row(source: Path, folder: str, line: int, row: Row, labels: LabelColumn) -> Tile:
    tile_id = row["tile"]
    if not tile_id:
        raise TableError(f"{source}: line {line} has an empty tile id")
    try:
        file_part, window = split_window(tile_id)
    except InvalidArgument as error:
        raise TableError(f"{source}: line {line}: {error}") from error
    named = _with_slashes(folder, row.get("path") or file_part)
    path = Location.parse(named).below(folder)
    if window is not None and row.get("read_px"):
        window = _read_at(window, row["read_px"], f"{source}: line {line}")
    label = labels.label(row.get("label"), line)
    return Tile(id=storable(tile_id), path=path, label=label, window=window)


def _with_slashes(folder: str, name: str) -> str:
    """A path as this system writes it: lists that Windows programs wrote have backslashes."""
    if "\\" not in name or Location.parse(name).stack or os.path.exists(os.path.join(folder, name)):  # noqa: PTH110, PTH118
        return name
    return name.replace("\\", "/")


def _read_at(window: Window, side_px: str, where: str) -> Window:
    try:
        return replace(window, read_px=int(side_px))
    except ValueError as error:  # not a number, or not a valid one
        raise TableError(f"{where}: read_px is not a number of pixels: {side_px!r}") from error


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


def write_list(path: Path, tiles: TileSet, *, overwrite: bool) -> None:
    """Write a list of tiles (CSV: tile, path, label), paths relative to the list's folder.

    If windows are read at reduced resolution, a column `read_px` holds their side. If tiles have
    dates, a column `datetime` holds them. If a person decided on some of the labels, the columns
    `decision` and `given_label` say so.
    """
    folder = resolved(path).parent
    columns: tuple[str, ...] = ("tile", "path", "label")
    rows: list[tuple[object, ...]] = [
        (tile.id, _relative(tile.location, folder), tile.label or "") for tile in tiles
    ]
    sides = [(tile.window and tile.window.read_px) or "" for tile in tiles]
    if any(sides):
        columns += ("read_px",)
        rows = [(*row, side) for row, side in zip(rows, sides)]
    if any(tile.taken for tile in tiles):
        columns += ("datetime",)
        dates = [tile.taken.period.text if tile.taken else "" for tile in tiles]
        rows = [(*row, date) for row, date in zip(rows, dates)]
    if any(tile.confirmed for tile in tiles):
        columns += DECISION_COLUMNS
        rows = [(*row, *decision_cells(tile, tile.label)) for row, tile in zip(rows, tiles)]
    write_csv(path, columns, rows, overwrite=overwrite)


def _relative(location: Location, folder: Path) -> str:
    if location.stack:
        return stack_path([_relative(Location.parse(file), folder) for file in location.stack])
    if not location.is_local:
        return location.text
    return Path(os.path.relpath(location.absolute(), folder)).as_posix()
