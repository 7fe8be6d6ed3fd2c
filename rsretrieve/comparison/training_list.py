"""The list of the training tiles in the folder of a comparison, which its models name."""

from __future__ import annotations

import tomllib
from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from rsretrieve._core.text import some_of
from rsretrieve.data.discovery.tile_list import tiles_in_list, write_list
from rsretrieve.data.labels.label_column import lost_in_tables
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.errors import LabelsError, OutputExists, RsretrieveError
from rsretrieve.index.store.manifest import CONFIG_FILE

TRAINING_LIST = "train.csv"


def write_training_list(path: Path, tiles: TileSet, kept: Collection[Path]) -> TileSet:
    """Write the list, unless finished models name it and were trained on other tiles.

    Args:
        path: the list.
        tiles: the training tiles.
        kept: the model folders that this run does not make again.

    Returns:
        The tiles as a training of the list has them, with the trust of the tiles.

    Raises:
        OutputExists: such a model names the list, and the list would change.
    """
    if _is_another(path, tiles) and (named_by := [m for m in kept if _names(m, path)]):
        raise OutputExists(
            f"{path} would name other tiles or labels than {len(named_by)} finished models were "
            f"trained on ({some_of(model.name for model in named_by)})",
            hint="give the same TILES and --test as before, or another --output",
        )
    write_list(path, tiles, overwrite=True, follow=False)
    folders = (*tiles.folders, str(path.parent))
    return replace(tiles, windows=None, folders=folders, labels_file=path)


def refuse_lost_labels(tiles: TileSet, files: str) -> None:
    """Refuse labels that a list or a labels file cannot hold.

    Args:
        tiles: the tiles, of which a file will hold the labels.
        files: what will be written, for messages.

    Raises:
        LabelsError: there is such a label.
    """
    if lost := lost_in_tables(tiles.class_names):
        raise LabelsError(
            f"{tiles.source}: a table cannot hold {some_of(lost)} as a label (it counts as no "
            f"label, or as another one), and the comparison writes {files}",
            hint="rename the class",
        )


def _is_another(path: Path, tiles: TileSet) -> bool:
    """Whether a list has other tiles; one that is missing or cannot be read has none."""
    if not path.is_file():
        return False
    try:
        old = tiles_in_list(path)
    except RsretrieveError:
        return True
    if [_record(tile) for tile in old] != [_record(tile) for tile in tiles]:
        return True
    return any(map(_is_elsewhere, old, tiles))


def _record(tile: Tile) -> tuple[str, str | None, bool]:
    return tile.id, tile.label, tile.confirmed is not None


def _is_elsewhere(old: Tile, new: Tile) -> bool:
    """Whether a tile has another file now; a file that is gone was moved."""
    if not (old.location.is_local and new.location.is_local):
        return old.location.absolute() != new.location.absolute()
    there = Path(old.location.absolute())
    return there.exists() and there.resolve() != Path(new.location.absolute()).resolve()


def _names(model: Path, path: Path) -> bool:
    """Whether the options of a model name a list."""
    with suppress(OSError, ValueError, KeyError, TypeError, IndexError):
        options = tomllib.loads((model / CONFIG_FILE).read_text(encoding="utf-8"))
        named = Path(options["train"]["tiles"][0])
        if named.is_absolute():
            return named.resolve() == path.resolve()
        return named.parts[-2:] == path.absolute().parts[-2:]  # as seen from another folder
    return False
