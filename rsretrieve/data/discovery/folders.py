"""The image files of a folder and its sub-folders, and what the folder holds besides them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from rsretrieve._core.folders.known_folders import is_own_folder
from rsretrieve._core.regular_files import is_of_system
from rsretrieve._core.text import some_of
from rsretrieve.data.discovery.left_out import LeftOut
from rsretrieve.data.gdal_drivers import (
    READABLE_SUFFIXES,
    SIDECAR_SUFFIXES,
    begins_like_an_image,
    holds_its_pixels,
)

IMAGE_SUFFIXES = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".png", ".tif", ".tiff", ".gtiff", ".jp2", ".j2k", ".webp"),
        *(".bmp", ".gif", ".img", ".vrt", ".ntf", ".nitf"),
    )
)
_OTHER_SUFFIXES = (".csv", ".txt", ".json", ".xml", ".md", ".parquet", ".npy")
_SYSTEM_FOLDERS = frozenset(
    (
        *("@eadir", "#recycle", "#snapshot", "@recycle", "@recently-snapshot"),  # NAS systems
        *("$recycle.bin", "recycler", "system volume information", "found.000"),  # Windows
        *("lost+found", "lost+found.bak", "__macosx", "network trash folder", "temporary items"),
        "__pycache__",
    )
)


def is_system_folder(name: str) -> bool:
    """Whether a folder belongs to an operating system or a storage device, judged by its name.

    >>> is_system_folder("$RECYCLE.BIN"), is_system_folder("forest")
    (True, False)
    """
    return name.casefold() in _SYSTEM_FOLDERS


@dataclass
class FolderContent:
    """What a folder and its sub-folders hold.

    Attributes:
        root: the folder.
        images: the image files, sorted by path.
        not_images: how many files there are of other formats that GDAL reads, by suffix.
        own: the index and model folders below the folder, which are not read, relative to it.
        system: the system folders (of a storage device, or /proc, /sys and /dev behind a link),
            which are not read, relative to the folder.
        repeated: links to folders that are read under another name already.
        subfolders: the sub-folders that were read, relative to the folder.
        linked: the image files that are links, relative to the folder, and where these lead.
        outside: links to folders outside of it, which were read, relative to the folder.
    """

    root: Path
    images: list[Path] = field(default_factory=list)
    not_images: Counter[str] = field(default_factory=Counter)
    own: list[str] = field(default_factory=list)
    system: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    subfolders: list[str] = field(default_factory=list)
    linked: dict[str, str] = field(default_factory=dict)
    outside: list[str] = field(default_factory=list)

    def notices(self, source: str) -> tuple[str, ...]:
        """What the user should know of what was left out, or is there twice."""
        notices = []
        if again := self._read_twice():
            notices.append(
                f"{source}: links to files that are tiles already: {len(again)} "
                f"({some_of(again)}); each is a tile of its own, with the label of its folder"
            )
        if self.not_images:
            counts = ", ".join(f"{name} ({n})" for name, n in sorted(self.not_images.items()))
            notices.append(
                f"{source}: files left out because a folder is not searched for their formats: "
                f"{counts}; convert them to GeoTIFF, or give each by its own path, with --window"
            )
        if self.own:
            names = some_of(sorted(self.own))
            notices.append(f"{source}: index and model folders left out: {len(self.own)} ({names})")
        if self.system:
            names = some_of(sorted(self.system))
            notices.append(f"{source}: system folders left out: {len(self.system)} ({names})")
        if self.outside:
            notices.append(
                f"{source}: links to folders outside of it, which are searched, too: "
                f"{len(self.outside)} ({some_of(sorted(self.outside))})"
            )
        if self.repeated:
            names = some_of(sorted(self.repeated))
            notices.append(
                f"{source}: links to folders that are already read under another name: "
                f"{len(self.repeated)} ({names})"
            )
        return tuple(notices)

    def leave_out_parents_of_own(self) -> None:
        """Remove sub-folders in which there are only index and model folders."""
        parents = {str(folder) for name in self.own for folder in PurePosixPath(name).parents}
        if not parents:
            return
        others = [path.relative_to(self.root).as_posix() for path in self.images]
        others += [name for name in self.subfolders if name not in parents]
        held = {str(folder) for name in others for folder in PurePosixPath(name).parents}
        self.subfolders = [name for name in self.subfolders if name not in parents - held]

    def _read_twice(self) -> list[str]:
        """The links to images that are read under another name, too."""
        if not self.linked:
            return []
        own = set(self.linked)
        root = os.path.realpath(self.root)
        known = {
            os.path.join(root, name)  # noqa: PTH118
            for name in (path.relative_to(self.root).as_posix() for path in self.images)
            if name not in own
        }
        again = []
        for name, target in sorted(self.linked.items()):
            if target in known:
                again.append(name)
            known.add(target)
        return again


def read_folder(root: Path, left_out: LeftOut) -> FolderContent:
    """Find all image files under `root`, but in indexes and models of ours.

    Links are followed, but no folder is read twice.

    Args:
        root: the folder.
        left_out: records folders that cannot be listed.
    """
    walk = _Walk(root, left_out)
    walk.read(root)
    walk.content.images.sort(key=Path.as_posix)
    walk.content.leave_out_parents_of_own()
    return walk.content


class _Walk:
    """Reads folders before links: a folder keeps its own name if a link names it, too."""

    def __init__(self, root: Path, left_out: LeftOut) -> None:
        self.content = FolderContent(root)
        self._root, self._left_out = root, left_out
        self._visited: set[tuple[int, int]] = set()
        self._links: list[Path] = []

    def read(self, folder: Path) -> None:
        self._read_without_links(folder)
        while self._links:
            link = self._links.pop(0)
            if self._identity(link) in self._visited:
                self.content.repeated.append(self._relative(link))
                continue
            found = len(self.content.system)
            self._read_without_links(link)
            if len(self.content.system) == found and not self._is_inside(link):
                self.content.outside.append(self._relative(link))

    def _read_without_links(self, folder: Path) -> None:
        remaining = [folder]
        while remaining:
            inner = remaining.pop()
            identity = self._identity(inner)
            if identity is None or identity in self._visited:
                continue
            self._visited.add(identity)
            if inner != self._root and self._is_of_system(inner):
                self.content.system.append(self._relative(inner))
                continue
            entries = self._entries(inner)
            if inner != self._root and is_own_folder(inner, {e.name for e in entries or ()}):
                self.content.own.append(self._relative(inner))
                continue
            if entries is not None and inner != self._root:
                self.content.subfolders.append(self._relative(inner))
            remaining += reversed(list(self._subfolders_among(entries or ())))

    def _subfolders_among(self, entries: Iterable[os.DirEntry[str]]) -> Iterator[Path]:
        """The sub-folders to read; files and links are recorded."""
        for entry in entries:
            path = Path(entry.path)
            if entry.name.startswith("."):
                continue
            if not _is_folder(entry):
                self._add_file(path, is_link=entry.is_symlink())
            elif is_system_folder(entry.name):
                self.content.system.append(self._relative(path))
            elif path.suffix.lower() in READABLE_SUFFIXES:
                self.content.not_images[path.suffix.lower()] += 1
            elif entry.is_symlink():
                self._links.append(path)
            else:
                yield path

    def _entries(self, folder: Path) -> list[os.DirEntry[str]] | None:
        """What a folder holds, sorted by name; None if it cannot be listed."""
        try:
            with os.scandir(folder) as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            self._left_out.add_folder(error)
            return None

    def _identity(self, folder: Path) -> tuple[int, int] | None:
        try:
            status = folder.stat()
        except OSError as error:
            self._left_out.add_folder(error)
            return None
        return status.st_dev, status.st_ino

    def _is_of_system(self, folder: Path) -> bool:
        """Whether a folder lies in /proc, /sys or /dev, and the one that the user typed not."""
        status, typed = folder.stat(), self._root.stat()
        return is_of_system(status) and status.st_dev != typed.st_dev

    def _is_inside(self, link: Path) -> bool:
        return Path(os.path.realpath(link)).is_relative_to(os.path.realpath(self._root))

    def _relative(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()

    def _add_file(self, path: Path, *, is_link: bool) -> None:
        if _looks_like_image(path):
            self.content.images.append(path)
            if is_link:
                self.content.linked[self._relative(path)] = os.path.realpath(path)
        elif suffix := _suffix_if_readable(path):
            self.content.not_images[suffix] += 1


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _looks_like_image(path: Path) -> bool:
    """Decide by the suffix, or by the first bytes if the suffix is unknown.

    A broken link or a pipe with an image's suffix counts as an image that cannot be read.
    """
    suffix = path.suffix.lower()
    if suffix in IMAGE_SUFFIXES:
        return True
    if suffix in SIDECAR_SUFFIXES or suffix in READABLE_SUFFIXES:
        return False
    if suffix in _OTHER_SUFFIXES or not _is_file(path):
        return False
    try:
        return begins_like_an_image(path)
    except OSError:
        return False


def _suffix_if_readable(path: Path) -> str:
    """The suffix of a file that is no tile, but that GDAL reads; empty for any other file."""
    suffix = path.suffix.lower()
    if suffix in READABLE_SUFFIXES:
        return suffix
    if suffix in SIDECAR_SUFFIXES or suffix in _OTHER_SUFFIXES or not _is_file(path):
        return ""
    try:
        return (suffix or "without a suffix") if holds_its_pixels(path) else ""
    except OSError:
        return ""


def _is_file(path: Path) -> bool:
    """Whether it is a file that can be opened: one of the system's may block."""
    try:
        return path.is_file() and not is_of_system(path.stat())
    except OSError:  # the folder may be listed, but not its files
        return False
