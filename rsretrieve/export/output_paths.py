"""What may not be written: an input, a file of an index or a model, one file twice."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

from rsretrieve._core.atomic_write import refuse_to_overwrite, resolved
from rsretrieve._core.paths import is_elsewhere
from rsretrieve.errors import InvalidArgument, OutputExists, OutputRefused

_ELSE = "give another output"
_OURS = {  # a file that tells such a folder, and those of which it has at least one
    "index": ("manifest.json", ("tiles.parquet", "index.faiss")),
    "model": ("model.json", ("model.safetensors",)),
}


@dataclass(frozen=True)
class OutputPaths:
    """Every path that is written and read, by the option that names it; None if not given.

    Attributes:
        files: outputs, each a file.
        folder: an output that is replaced as a whole.
        inputs: files and folders that are read; what is no path on this system goes unlooked at.
        overwrite: replace files that are there.
    """

    files: Mapping[str, Path | None] = field(default_factory=dict)
    folder: Mapping[str, Path | None] = field(default_factory=dict)
    inputs: Mapping[str, str | Path | None] = field(default_factory=dict)
    overwrite: bool = False

    def check(self) -> None:
        """Look at all but the tiles, before the work starts.

        Raises:
            InvalidArgument: two outputs are one file.
            OutputExists: an output is there and may not be replaced.
            OutputRefused: an output is an input, or lies in an index or a model.
        """
        self._refuse_twins()
        for name, path in self._outputs():
            self._refuse_to_write_into_folders(name, path)
            self._refuse_inputs(name, path)
        for name, path in _given(self.files):
            if path.is_dir() and self.overwrite:
                raise OutputExists(f"{name} {path} is a folder, not a file", hint=_ELSE)
            refuse_to_overwrite(path, overwrite=self.overwrite)

    def check_tiles(self, tiles: Callable[[], Iterable[str]]) -> None:
        """Look whether an output is a tile, as soon as the tiles are found.

        Args:
            tiles: gives their paths; asked only where an output is there already.

        Raises:
            OutputRefused: it is one.
        """
        files = [(name, path) for name, path in _given(self.files) if os.path.lexists(path)]
        folders = [(name, path) for name, path in _given(self.folder) if path.is_dir()]
        if not files and not folders:
            return
        # There may be a million tiles: only those of an output's name are looked at on the disk.
        named = tuple({n.casefold() for _, p in files for n in (p.name, resolved(p).name)})
        homes: dict[str, Path] = {}
        for tile in tiles():
            if is_elsewhere(tile):
                continue
            if named and tile.casefold().endswith(named):
                self._refuse_tile(files, tile)
            if folders:
                home = os.path.dirname(tile)  # noqa: PTH120  (a `Path` each would take seconds)
                if home not in homes:
                    homes[home] = resolved(Path(home))
                    self._refuse_tile_in(folders, homes[home], tile)

    @staticmethod
    def _refuse_tile(files: Iterable[tuple[str, Path]], tile: str) -> None:
        for name, path in files:
            if _same(path, Path(tile)):
                raise OutputRefused(f"{name} {path} is the tile {tile}", hint=_ELSE)

    @staticmethod
    def _refuse_tile_in(folders: Iterable[tuple[str, Path]], home: Path, tile: str) -> None:
        for name, path in folders:
            if home.is_relative_to(resolved(path)):
                raise OutputRefused(
                    f"{name} {path} would be replaced, and the tile {tile} lies in it", hint=_ELSE
                )

    def _outputs(self) -> Iterator[tuple[str, Path]]:
        yield from _given(self.files)
        yield from _given(self.folder)

    def _refuse_twins(self) -> None:
        for (one, path), (other, path_too) in combinations(self._outputs(), 2):
            if _same(path, path_too):
                raise InvalidArgument(f"{other} and {one} would write the same file, {path_too}")

    def _refuse_to_write_into_folders(self, name: str, path: Path) -> None:
        place = resolved(path)
        for other, folder in _given(self.folder):
            if other != name and place.is_relative_to(resolved(folder)):
                raise OutputRefused(
                    f"{name} {path} lies in {folder}, the folder of {other}, which is written as "
                    "a whole",
                    hint=_ELSE,
                )
        for folder in place.parents:
            if kind := _kind_of(folder):
                raise OutputRefused(
                    f"{name} {path} lies in the {kind} folder {folder}, which only "
                    f"`rsretrieve {'train' if kind == 'model' else 'index'}` writes",
                    hint=_ELSE,
                )

    def _refuse_inputs(self, name: str, path: Path) -> None:
        for read, where in self.inputs.items():
            if where is None or is_elsewhere(where):
                continue
            source = Path(where)
            if not _exists(source):
                continue
            if _same(path, source):
                raise OutputRefused(f"{name} {path} is what {read} reads", hint=_ELSE)
            if name in self.folder and resolved(source).is_relative_to(resolved(path)):
                raise OutputRefused(
                    f"{name} {path} would be replaced, and {source}, the input {read}, lies in it",
                    hint=_ELSE,
                )


def _given(paths: Mapping[str, Path | None]) -> Iterator[tuple[str, Path]]:
    return ((name, path) for name, path in paths.items() if path is not None)


def _kind_of(folder: Path) -> str:
    """Whether a folder is an index or a model; empty where it is neither."""
    for kind, (description, contents) in _OURS.items():
        if _exists(folder / description) and any(_exists(folder / name) for name in contents):
            return kind
    return ""


def _exists(path: Path) -> bool:
    try:
        path.stat()
    except (OSError, ValueError):
        return False
    return True


def _same(one: Path, other: Path) -> bool:
    """Whether two paths are one file, by their names or, of those that exist, by the file."""
    if resolved(one) == resolved(other):
        return True
    try:
        return one.samefile(other)
    except (OSError, ValueError):
        return False
