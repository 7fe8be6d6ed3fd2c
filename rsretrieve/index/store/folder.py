"""Read and write index folders. The only module that does."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve._core.atomic_write import folder_aside, sha256_of_file
from rsretrieve._core.folders.known_folders import INDEX_FOLDER
from rsretrieve._core.regular_files import open_regular
from rsretrieve.errors import IndexDamaged, IndexStoreError
from rsretrieve.index.external.query_vectors import mapped_array
from rsretrieve.index.store.checksums import find_wrong_files
from rsretrieve.index.store.manifest import (
    DATA_FILES,
    FAISS_FILE,
    MANIFEST_FILE,
    SKIPPED_FILE,
    STORED_MODEL,
    STORED_MODEL_FILE,
    TABLE_FILE,
    VECTORS_FILE,
    Manifest,
    names_files,
    read_manifest,
    write_manifest,
)
from rsretrieve.index.store.stored_model import copy_model
from rsretrieve.index.store.tile_table import IndexedTile, TileTable, read_table, write_table
from rsretrieve.index.vectors.vector_index import VectorIndex

_BLOCK = 65_536  # vectors written at once
_TRIES = 5  # attempts to open an index that is being replaced


@dataclass(frozen=True)
class IndexStore:
    """An open index folder.

    Attributes:
        folder: the index folder.
        manifest: its manifest.
        rows: the N tiles; row i describes the tile of vector i.
        files: a path for each file that stays readable if another run replaces the folder.
    """

    folder: Path
    manifest: Manifest
    rows: TileTable
    files: Mapping[str, Path] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def vectors(self) -> NDArray[np.float32]:
        """(N, D) float32, unit rows, memory-mapped.

        Raises:
            IndexDamaged: the file does not hold the vectors of the manifest.
        """
        try:
            return map_stored_vectors(self._file(VECTORS_FILE), self.manifest)
        except ValueError as error:
            path = self.folder / VECTORS_FILE
            raise IndexDamaged(f"{path} {error}", hint=_repair_hint(self.folder)) from error

    @cached_property
    def skipped(self) -> TileTable:
        """The windows that were skipped for too much nodata.

        Raises:
            IndexDamaged: their file was changed since it was written.
        """
        if SKIPPED_FILE not in self.manifest.sha256:
            return TileTable.of(())
        check_files(self.folder, {SKIPPED_FILE: self._file(SKIPPED_FILE)}, self.manifest)
        return read_table(self._file(SKIPPED_FILE))

    def content(self) -> IndexContent:
        """All that the folder holds, to be written again, also with other rows and vectors.

        Raises:
            IndexDamaged: a file was changed since it was written.
        """
        model = self.folder / STORED_MODEL if self.manifest.has_stored_model else None
        facts = self.manifest.content_facts
        return IndexContent(self.rows, self.vectors, facts, self.skipped, model)

    def open_vector_index(self, gpu: int | None = None, *, mapped: bool = True) -> VectorIndex:
        """Open the FAISS index, and verify its checksum.

        Args:
            gpu: the number of the GPU to search on, or None.
            mapped: memory-map the file, which may be larger than memory; the index is then
                read-only.

        Raises:
            IndexDamaged: the file was changed, or is not the index of these tiles.
        """
        path, manifest = self.folder / FAISS_FILE, self.manifest
        check_files(self.folder, {FAISS_FILE: self._file(FAISS_FILE)}, manifest)
        try:
            index = VectorIndex.read(
                self._file(FAISS_FILE), gpu, self.vectors, manifest.search, mapped=mapped
            )
        except ValueError as error:
            raise IndexDamaged(f"{path} {error}", hint=_repair_hint(self.folder)) from error
        if (len(index), index.dimensions) != (manifest.tiles, manifest.dimensions):
            raise IndexDamaged(
                f"{path} holds {len(index)} vectors of {index.dimensions} dimensions, not "
                f"{manifest.tiles} of {manifest.dimensions}",
                hint=_repair_hint(self.folder),
            )
        return index

    def _file(self, name: str) -> Path:
        return self.files.get(name, self.folder / name)


@dataclass(frozen=True)
class IndexContent:
    """What an index folder will hold.

    Attributes:
        rows: N tiles.
        vectors: (N, D) float32, unit rows; row i is the embedding of tile i.
        facts: entries of the manifest, see `Manifest.content_facts`.
        skipped: windows with too much nodata, which have no vector; an update does not read
            them again.
        model: the model folder to copy into the index folder; None if it stays where it is.
    """

    rows: Sequence[IndexedTile]
    vectors: NDArray[np.float32]
    facts: dict[str, Any]
    skipped: Sequence[IndexedTile] = ()
    model: Path | None = None


def write_index_folder(
    folder: Path,
    content: IndexContent,
    vector_index: VectorIndex,
    *,
    overwrite: bool,
) -> None:
    """Write an index folder beside its final place, and move it there in one rename.

    Args:
        folder: the index folder.
        content: what it holds.
        vector_index: the FAISS index of the vectors.
        overwrite: replace an existing index.

    Raises:
        OutputExists: the folder exists and `overwrite` is false.
        OSError: the disk is full or the folder is read-only; an existing index is unchanged.
        ValueError: the facts name a model in the index folder, and the content has none, or the
            reverse; an existing index is unchanged.
    """
    with folder_aside(folder, overwrite=overwrite, kind=INDEX_FOLDER) as aside:
        vector_index.write(aside / FAISS_FILE)
        write_table(aside / TABLE_FILE, content.rows)
        _write_vectors(aside / VECTORS_FILE, content.vectors)
        if content.skipped:
            write_table(aside / SKIPPED_FILE, content.skipped)
        if content.model is not None:
            copy_model(content.model, aside / STORED_MODEL)
        optional = {SKIPPED_FILE: content.skipped, STORED_MODEL_FILE: content.model}
        files = [*DATA_FILES, *(name for name, written in optional.items() if written)]
        manifest = Manifest(
            **content.facts,
            metric="inner product",
            tiles=len(content.rows),
            dimensions=content.vectors.shape[1],
            sha256={name: sha256_of_file(aside / name) for name in files},
        )
        if not names_files(manifest):  # nobody could read the index
            raise ValueError(f"the manifest names the model {manifest.model!r}, which is not there")
        write_manifest(aside / MANIFEST_FILE, manifest)


def open_index(folder: Path) -> IndexStore:
    """Open an index folder, and verify the id table and the vectors against the manifest.

    The FAISS index is verified when it is opened: not every query needs it. Another run may
    replace the folder at any moment; the open index stays unchanged.

    Raises:
        IndexNotFound: the folder holds no index.
        IndexDamaged: a file is missing, was cut short or edited, or comes from a newer version.
    """
    for _ in range(_TRIES):
        manifest = read_manifest(folder)
        files = HeldFiles(folder, tuple(manifest.sha256))
        if _is_still(folder, manifest):
            break
    check_files(folder, {name: files.paths[name] for name in (TABLE_FILE, VECTORS_FILE)}, manifest)
    try:
        rows = read_table(files.paths[TABLE_FILE], manifest.tiles)
    except IndexDamaged as error:
        raise IndexDamaged(
            f"{folder / TABLE_FILE} {error.message.partition(' ')[2]}", hint=_repair_hint(folder)
        ) from error
    return IndexStore(folder, manifest, rows, files.paths)


def check_files(folder: Path, paths: Mapping[str, Path], manifest: Manifest) -> None:
    """Compare files with their checksums in the manifest.

    Raises:
        IndexDamaged: a file differs or is missing; the message names the first.
    """
    for name in find_wrong_files(paths, {name: manifest.sha256[name] for name in paths}):
        raise IndexDamaged(
            f"{folder / name} is not the file that {MANIFEST_FILE} describes",
            hint=_repair_hint(folder),
        )


def _is_still(folder: Path, manifest: Manifest) -> bool:
    try:
        return read_manifest(folder) == manifest
    except IndexStoreError:
        return False


class _HeldPaths(dict[str, Path]):
    """Paths of open files, which are closed when this is garbage-collected."""


class HeldFiles:
    """Holds the files of an index open, so that they stay readable if the folder is replaced."""

    def __init__(self, folder: Path, names: tuple[str, ...]) -> None:
        self.paths = _HeldPaths({name: folder / name for name in names})
        for name in names if Path("/dev/fd").is_dir() else ():
            try:
                stream = open_regular(folder / name)
            except OSError:
                continue  # reported by the check
            self.paths[name] = Path(f"/dev/fd/{stream.fileno()}")
            weakref.finalize(self.paths, stream.close)


def map_stored_vectors(path: Path, manifest: Manifest) -> NDArray[np.float32]:
    """Memory-map the stored vectors: (N, D) float32.

    Raises:
        ValueError: the file cannot be read, or has another shape than the manifest says.
    """
    try:
        vectors: NDArray[np.float32] = mapped_array(path)
    except OSError as error:
        raise ValueError(f"cannot be read ({error})") from error
    expected = (manifest.tiles, manifest.dimensions)
    if vectors.shape != expected or vectors.dtype != np.dtype("<f4"):
        raise ValueError(f"holds {vectors.shape} {vectors.dtype} for {expected} float32")
    return vectors


def _write_vectors(path: Path, vectors: NDArray[np.float32]) -> None:
    """Write `embeddings.npy` block by block: the vectors may be memory-mapped."""
    header = {"descr": "<f4", "fortran_order": False, "shape": vectors.shape}
    with path.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        for start in range(0, len(vectors), _BLOCK):
            block = vectors[start : start + _BLOCK]
            stream.write(np.ascontiguousarray(block, "<f4").tobytes())


def _repair_hint(folder: Path) -> str:
    return (
        f"`rsretrieve index --repair --output {folder}` repairs what can be repaired; or build "
        "it again with --overwrite"
    )
