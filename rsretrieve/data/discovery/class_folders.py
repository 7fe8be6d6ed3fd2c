"""The labels that sub-folders give: classes, or the parts of a split above the classes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rsretrieve._core.text import some_of
from rsretrieve.data.labels.class_names import clean_label

_SPLITS = frozenset(
    ("train", "training", "val", "valid", "validation", "dev", "test", "testing", "eval")
)


@dataclass(frozen=True)
class ClassFolders:
    """Which folder of a tile's path is its label.

    Attributes:
        depth: how many folders stand above the classes; None if no folder is a class.
        parts: the names of the parts of a split that stand above the classes.
        notices: what the user should know.
    """

    depth: int | None
    parts: tuple[str, ...]
    notices: tuple[str, ...]

    def label_of(self, relative: str) -> str | None:
        """The label of a tile, from its path relative to the folder."""
        folders = relative.split("/")[:-1]
        if self.depth is None or len(folders) <= self.depth:
            return None
        return clean_label(folders[self.depth])


def find_class_folders(
    source: str, tiles: Sequence[str], subfolders: Iterable[str] = ()
) -> ClassFolders:
    """Find which folders are the classes.

    They are the first sub-folders, unless all of these are named like the parts of a split (train,
    val, test): then they are the folders below.

    Args:
        source: the folder, for messages.
        tiles: the tiles' paths, relative to the folder.
        subfolders: the relative paths of all sub-folders, with tiles or without.
    """
    folders = {tuple(tile.split("/")[:-1]) for tile in tiles}
    notices = []
    depth: int | None = 0
    parts = _parts_of_split(folders)
    if parts:
        depth = 1 if any(len(names) > 1 for names in folders) else None
        notices.append(_notice_of_parts(source, parts, below=depth is not None))
    elif inner := _inner_of_only_folder(folders):
        only = next(iter(folders))[0]
        notices.append(
            f"{source}: all tiles lie in one sub-folder, {only!r}, which is their only class; to "
            f"take the folders below ({some_of(inner)}) as the classes, give {source}/{only}"
        )
    if depth is not None and (empty := _without_tile(folders, subfolders, depth)):
        notices.append(
            f"{source}: class folders without a tile: {len(empty)} ({some_of(empty)}); these "
            "classes do not occur"
        )
    return ClassFolders(depth, parts, tuple(notices))


def _without_tile(
    folders: set[tuple[str, ...]], subfolders: Iterable[str], depth: int
) -> list[str]:
    """The names of class folders in which no tile lies; empty if no folder is a class."""
    classes = {names[depth] for names in folders if len(names) > depth}
    split = (tuple(path.split("/")) for path in subfolders)
    return sorted(
        {names[depth] for names in split if len(names) > depth} - classes if classes else ()
    )


def _parts_of_split(folders: set[tuple[str, ...]]) -> tuple[str, ...]:
    """The parts of a split, if the first sub-folders are no classes; else empty.

    A single folder may be a class of that name, such as trains: it is a part only if there are
    several folders below it.
    """
    if () in folders or not folders:
        return ()
    first = sorted({names[0] for names in folders})
    if any(name.casefold() not in _SPLITS for name in first):
        return ()
    below = {names[1] for names in folders if len(names) > 1}
    return tuple(first) if len(first) > 1 or len(below) > 1 else ()


def _notice_of_parts(source: str, parts: Sequence[str], *, below: bool) -> str:
    names = some_of(parts)
    classes = "the folders below them are the labels" if below else "their tiles have no labels"
    return (
        f"{source}: the sub-folders {names} are parts of a split, not classes: {classes}, and the "
        f"tiles of all parts are taken together; to take one part, give "
        f"{source}/{_training_part(parts)}"
    )


def _inner_of_only_folder(folders: set[tuple[str, ...]]) -> list[str]:
    """The folders below the only first sub-folder, if all tiles lie in several of these."""
    if not folders or any(len(names) < 2 for names in folders):
        return []
    if len({names[0] for names in folders}) > 1:
        return []
    inner = sorted({names[1] for names in folders})
    return inner if len(inner) > 1 else []


def _training_part(parts: Sequence[str]) -> str:
    return next((name for name in parts if name.casefold().startswith("train")), parts[0])
