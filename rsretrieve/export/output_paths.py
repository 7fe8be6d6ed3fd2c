"""Check output paths: no input, no file of an index or model, and no file twice."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

from rsretrieve._core.atomic_write import refuse_to_overwrite, resolved
from rsretrieve._core.folders.known_folders import INDEX_FOLDER, MODEL_FOLDER
from rsretrieve._core.folders.writable_parent import refuse_unwritable
from rsretrieve._core.paths import Location
from rsretrieve._core.standard_output import is_standard_output
from rsretrieve.errors import InvalidArgument, OutputExists, OutputRefused

_HINT = "choose another output path"
_RASTERS = (".tif", ".tiff")

ALWAYS_READ: ContextVar[Mapping[str, Path]] = ContextVar("ALWAYS_READ")
"""Inputs of the whole command, such as the file of `--config`, by the option that names them."""


@dataclass(frozen=True)
class OutputPaths:
    """Every path that is written or read, by the option that names it; None if not given.

    Attributes:
        files: output files.
        folder: the output folder, which is replaced as a whole.
        inputs: input files and folders. URLs and other names that are no paths are not checked.
        overwrite: replace existing files.
        kept: folders that get more files, and stay. Addresses of stores are not checked.
        added: new folders, which may lie in an input.
    """

    files: Mapping[str, Path | None] = field(default_factory=dict)
    folder: Mapping[str, Path | None] = field(default_factory=dict)
    inputs: Mapping[str, str | Path | None] = field(default_factory=dict)
    overwrite: bool = False
    kept: Mapping[str, str | Path | None] = field(default_factory=dict)
    added: Mapping[str, Path | None] = field(default_factory=dict)

    def check(self) -> None:
        """Check all paths except the tiles, before the work starts.

        Raises:
            InvalidArgument: two outputs are the same file.
            OutputExists: an output exists and may not be replaced, or its parent is no folder.
            OutputRefused: an output is an input, lies in an index or model folder, or in a folder
                that may not be written.
        """
        self._refuse_equal_outputs()
        self._refuse_folder_as_stream()
        for name, path in self._outputs():
            self._refuse_to_write_into_folders(name, path)
            self._refuse_inputs(name, path)
        for name, path in _given_local(self.kept):
            self._refuse_to_write_into_folders(name, path)
            self._refuse_to_keep(name, path)
        for name, path in _given(self.added):
            self._refuse_to_write_into_folders(name, path)
        for name, path in [*self._outputs(), *_given(self.added)]:
            refuse_unwritable(path, name)
        for name, path in self._given_files():
            if path.is_dir() and self.overwrite:
                raise OutputExists(f"{name} {path} is a folder, not a file", hint=_HINT)
            refuse_to_overwrite(path, overwrite=self.overwrite)

    def _refuse_folder_as_stream(self) -> None:
        for name, path in _given(self.folder):
            if is_standard_output(path):
                raise InvalidArgument(
                    f"{name} writes a folder; - (standard output) is for files", hint=_HINT
                )

    def check_tiles(self, tiles: Callable[[], Iterable[str]]) -> None:
        """Check that no output is a tile, as soon as the tiles are found.

        Args:
            tiles: returns the tiles' paths. It is called only if an output exists.

        Raises:
            OutputRefused: an output is a tile, or a folder with tiles.
        """
        files = [(name, path) for name, path in self._given_files() if os.path.lexists(path)]
        folders = [(name, path) for name, path in _given(self.folder) if path.is_dir()]
        if not files and not folders:
            return
        # There may be a million tiles: only those with an output's name are looked up on disk.
        named = tuple({n.casefold() for _, p in files for n in (p.name, resolved(p).name)})
        homes: dict[str, Path] = {}
        files_of_tiles = (file for path in tiles() for file in Location.parse(path).files)
        for tile in (file for one in files_of_tiles for file in Location.parse(one).local_files):
            if named and tile.casefold().endswith(named):
                self._refuse_tile(files, tile)
            if folders:
                home = os.path.dirname(tile)  # noqa: PTH120  (a `Path` per tile would take seconds)
                if home not in homes:
                    homes[home] = resolved(Path(home))
                    self._refuse_tile_in(folders, homes[home], tile)

    @staticmethod
    def _refuse_tile(files: Iterable[tuple[str, Path]], tile: str) -> None:
        for name, path in files:
            if _same(path, Path(tile)):
                raise OutputRefused(f"{name} {path} is the tile {tile}", hint=_HINT)

    @staticmethod
    def _refuse_tile_in(folders: Iterable[tuple[str, Path]], home: Path, tile: str) -> None:
        for name, path in folders:
            if home.is_relative_to(resolved(path)):
                raise OutputRefused(
                    f"{name} would replace {path}, which contains the tile {tile}", hint=_HINT
                )

    @property
    def on_standard_output(self) -> str:
        """The option whose file is written to standard output; empty if there is none."""
        return next((name for name, path in _given(self.files) if is_standard_output(path)), "")

    def _outputs(self) -> Iterator[tuple[str, Path]]:
        yield from self._given_files()
        yield from _given(self.folder)

    def _given_files(self) -> Iterator[tuple[str, Path]]:
        """The output files that are files on disk."""
        return ((name, p) for name, p in _given(self.files) if not is_standard_output(p))

    def _refuse_equal_outputs(self) -> None:
        every = [*_given(self.files), *_given(self.folder), *_given_local(self.kept)]
        every += _given(self.added)
        for (one, path), (other, path_too) in combinations(every, 2):
            if _same(path, path_too):
                raise InvalidArgument(f"{other} and {one} would write the same file, {path_too}")

    def _refuse_to_write_into_folders(self, name: str, path: Path) -> None:
        place = resolved(path)
        for other, folder in _given(self.folder):
            if other != name and place.is_relative_to(resolved(folder)):
                raise OutputRefused(
                    f"{name} {path} lies in the folder {folder}, which {other} replaces",
                    hint=_HINT,
                )
        for folder in (*[place] * (name in self.kept), *place.parents):
            if kind := _kind_of(folder):
                raise OutputRefused(
                    f"{name} {path} lies in the {kind} folder {folder}; only "
                    f"`rsretrieve {'train' if kind == 'model' else 'index'}` may write there",
                    hint=_HINT,
                )

    def _refuse_to_keep(self, name: str, path: Path) -> None:
        """Refuse a folder for more files that is an input, or lies in one."""
        for read, source in _given_local(self.inputs):
            if _exists(source) and resolved(path).is_relative_to(resolved(source)):
                raise OutputRefused(
                    f"{name} {path} is or lies in {source}, the input {read}", hint=_HINT
                )

    def _refuse_inputs(self, name: str, path: Path) -> None:
        for read, source in _given_local({**ALWAYS_READ.get({}), **self.inputs}):
            if not _exists(source):
                continue
            if _same(path, source):
                raise OutputRefused(f"{name} {path} is also the input {read}", hint=_HINT)
            if name in self.folder and resolved(source).is_relative_to(resolved(path)):
                raise OutputRefused(
                    f"{name} would replace {path}, which contains {source}, the input {read}",
                    hint=_HINT,
                )


def is_one_raster(path: Path) -> bool:
    """Whether a path names one GeoTIFF, and not a folder of them."""
    return path.suffix.lower() in _RASTERS or is_standard_output(path)


def _given(paths: Mapping[str, Path | None]) -> Iterator[tuple[str, Path]]:
    return ((name, path) for name, path in paths.items() if path is not None)


def _given_local(paths: Mapping[str, str | Path | None]) -> Iterator[tuple[str, Path]]:
    for name, where in paths.items():
        if where is None:
            continue
        location = Location.parse(where)
        if location.is_local:
            yield name, Path(where)
        elif location.part is not None:
            yield name, Path(location.part.file)


def _kind_of(folder: Path) -> str:
    """`index` or `model` for such a folder; empty for any other."""
    return next((kind.name for kind in (INDEX_FOLDER, MODEL_FOLDER) if kind.is_own(folder)), "")


def _exists(path: Path) -> bool:
    try:
        path.stat()
    except (OSError, ValueError):
        return False
    return True


def _same(one: Path, other: Path) -> bool:
    """Whether two paths are the same file, by their resolved names or by the existing file."""
    if resolved(one) == resolved(other):
        return True
    try:
        return one.samefile(other)
    except (OSError, ValueError):
        return False
