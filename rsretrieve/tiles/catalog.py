"""Find tiles: a folder, a CSV list or a Parquet list becomes a `TileSet`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from rsretrieve.errors import InvalidArgument, TableError, TilesNotFound
from rsretrieve.tiles.labels import override_labels
from rsretrieve.tiles.records import Tile, TileSet, absolute, split_window
from rsretrieve.tiles.tables import TABLE_SUFFIXES, Row, read_table, write_csv

IMAGE_SUFFIXES = frozenset(
    [
        ".jpg",
        ".jpeg",
        ".jpe",
        ".png",
        ".tif",
        ".tiff",
        ".gtiff",
        ".jp2",
        ".j2k",
        ".webp",
        ".bmp",
        ".gif",
        ".img",
        ".vrt",
        ".ntf",
        ".nitf",
    ]
)
_IMAGE_STARTS = (
    b"\xff\xd8\xff",  # JPEG
    b"\x89PNG",
    b"II*\0",  # TIFF, little-endian
    b"MM\0*",  # TIFF, big-endian
    b"II+\0",  # BigTIFF
    b"MM\0+",
    b"\0\0\0\x0cjP  ",  # JPEG 2000
    b"\xff\x4f\xff\x51",  # JPEG 2000 code stream
)


def find_tiles(source: Path, labels: Path | None = None) -> TileSet:
    """Find the tiles that `source` names.

    Args:
        source: a folder (class sub-folders are the labels), or a CSV or Parquet list with
            the columns `tile`, optionally `path` and `label`.
        labels: a CSV with `tile,label` whose labels replace those found.

    Returns:
        The tiles, sorted by id for a folder, in the list's order for a list.

    Raises:
        TilesNotFound: there is no such place, or no tile in it.
        TableError: the list, or the labels file, cannot be read as one.
        LabelsError: the labels file does not fit the tiles.
    """
    if source.is_dir():
        tiles = TileSet(str(source), tuple(_tiles_in_folder(source)))
    elif source.suffix.lower() in TABLE_SUFFIXES and source.is_file():
        tiles = _tiles_in_list(source)
    elif source.exists():
        raise TilesNotFound(
            f"{source} is neither a folder nor a list of tiles",
            hint=f"give a folder of images, or a list ({', '.join(TABLE_SUFFIXES)})",
        )
    else:
        raise TilesNotFound(f"{source}: no such folder or list")
    if not tiles.tiles:
        raise TilesNotFound(
            f"{source}: no tiles in it",
            hint="tiles are images such as .jpg, .png or .tif, in class sub-folders or not",
        )
    return override_labels(tiles, labels) if labels is not None else tiles


def _tiles_in_folder(root: Path) -> Iterator[Tile]:
    for path in _image_files(root):
        relative = PurePosixPath(path.relative_to(root).as_posix())
        label = relative.parts[0] if len(relative.parts) > 1 else None
        yield Tile(id=str(relative), path=str(path), label=label)


def _image_files(root: Path) -> list[Path]:
    """All image files under `root`, sorted as ids are; links are followed, but no folder twice."""
    found, visited = [], set()
    for folder, subfolders, names in os.walk(root, followlinks=True):
        identity = Path(folder).stat()
        if (identity.st_dev, identity.st_ino) in visited:
            subfolders.clear()
            continue
        visited.add((identity.st_dev, identity.st_ino))
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in names:
            path = Path(folder, name)
            if not name.startswith(".") and path.is_file() and _looks_like_image(path):
                found.append(path)
    return sorted(found, key=Path.as_posix)


def _looks_like_image(path: Path) -> bool:
    """By its name, or, where the name says nothing, by its first bytes."""
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return True
    if path.suffix.lower() in (".csv", ".txt", ".json", ".xml", ".md", ".parquet", ".npy"):
        return False
    try:
        with path.open("rb") as stream:
            return stream.read(12).startswith(_IMAGE_STARTS)
    except OSError:
        return False


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
    return TileSet(str(source), tuple(tiles.values()), notices)


def _tile_of_row(source: Path, folder: str, line: int, row: Row) -> Tile:
    tile_id = row["tile"]
    if not tile_id:
        raise TableError(f"{source}: line {line} has an empty tile id")
    try:
        file_part, window = split_window(tile_id)
    except InvalidArgument as error:
        raise TableError(f"{source}: line {line}: {error}") from error
    # A list may have a million lines, and a `Path` for each would take as long as all the rest.
    path = os.path.join(folder, row.get("path") or file_part)  # noqa: PTH118
    return Tile(id=tile_id, path=path, label=row.get("label") or None, window=window)


def tiles_of_images(images: Sequence[str]) -> TileSet:
    """Image files that the user named one by one, as tiles without labels; each once.

    A window of an image is named `FILE#col,row,width,height`, unless there is a file of
    just that name.
    """
    tiles = []
    for name in dict.fromkeys(images):
        path, window = (name, None) if Path(name).exists() else split_window(name)
        tiles.append(Tile(id=name, path=path, window=window))
    return TileSet("the images", tuple(tiles))


def write_list(path: Path, tiles: TileSet, *, overwrite: bool) -> None:
    """Write a list of tiles (CSV: tile, path, label), paths relative to the list's folder."""
    folder = path.resolve().parent
    rows = (
        (tile.id, Path(os.path.relpath(absolute(tile.path), folder)).as_posix(), tile.label or "")
        for tile in tiles
    )
    write_csv(path, ("tile", "path", "label"), rows, overwrite=overwrite)
