"""Fill the inverted lists of an index on the disk, for an index that is larger than memory.

FAISS fills lists in memory. Its own lists on disk (`OnDiskInvertedLists`) are a second file, which
the index names by its path; a file of a stranger could name any other. Here the vectors are encoded
shard by shard, and the lists of all shards are written into one file of FAISS's ordinary format
(`ilar` in its `index_write.cpp`), which can be memory-mapped. An exact index (Flat) is a header and
the vectors. Either is byte by byte the file of an index that was filled in memory.
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve.index.vectors.faiss_checks import read_checked
from rsretrieve.index.vectors.faiss_loader import faiss_module

ON_DISK_FROM_BYTES = 1 << 26
"""Predicted size of an index from which its lists are filled on the disk, which takes as long: in
memory, lists take up to twice their size while they grow."""
SHARD_BYTES = 1 << 26
"""Bytes of the lists of a shard, which lie in memory at once, if `MOST_SHARDS` are enough."""
MOST_SHARDS = 256
"""Each of them is an open file."""
_ID_BYTES = _NUMBER_BYTES = 8
_ROWS_AT_ONCE = 65_536
_EMPTY_LISTS = 32  # bytes of the lists of an empty index: mark, two numbers, layout, no sizes
_MARK, _FULL = b"ilar", b"full"

Portion = Callable[[Any], None]
"""Adds the next vectors to a trained FAISS index; it counts them from the number that it holds."""


@dataclass(frozen=True)
class _Shard:
    """The lists of some vectors in a file: for each cell its codes, then its ids.

    Attributes:
        stream: the file, read from its beginning.
        sizes: (nlist,) int64, number of vectors of each cell.
    """

    stream: IO[bytes]
    sizes: NDArray[np.int64]


def can_fill_on_disk(index: Any) -> bool:
    """Whether an index is of a kind whose lists or vectors can be written on the disk."""
    faiss = faiss_module()
    kinds = ("IndexFlat", "IndexIVFFlat", "IndexIVFPQ", "IndexIVFScalarQuantizer", "IndexIVFRaBitQ")
    known = [getattr(faiss, name) for name in kinds if hasattr(faiss, name)]
    return type(faiss.downcast_index(index)) in known and Path("/dev/fd").is_dir()


def filled_on_disk(
    index: Any, portions: Iterable[Portion], vectors: NDArray[np.float32], folder: Path
) -> Any:
    """Fill a trained index in a file without a name, which goes with the index.

    Args:
        index: a trained, empty index of a kind that `can_fill_on_disk` accepts.
        portions: add all vectors, in their order.
        vectors: (N, D) float32, unit rows; may be memory-mapped.
        folder: a folder on the disk to use; made if it is missing.

    Returns:
        The filled index, memory-mapped.

    Raises:
        OSError: the disk is full.
    """
    faiss = faiss_module()
    index = faiss.downcast_index(index)
    folder.mkdir(parents=True, exist_ok=True)
    with _named(folder), tempfile.TemporaryFile(dir=folder) as whole:
        if isinstance(index, faiss.IndexFlat):
            _write_flat(whole, index, vectors)
        else:
            _write_lists(whole, index, portions, len(vectors), folder)
        whole.flush()
        path = Path(f"/dev/fd/{whole.fileno()}")
        return read_checked(faiss, path, faiss.IO_FLAG_MMAP_IFC, vectors)


@contextmanager
def _named(folder: Path) -> Iterator[None]:
    """Make an error of a file without a name say in which folder it lies."""
    try:
        yield
    except OSError as error:
        if error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(folder)) from error


def _write_flat(whole: IO[bytes], index: Any, vectors: NDArray[np.float32]) -> None:
    """Write an exact index: what FAISS writes of an empty one, up to the number of values."""
    whole.write(_empty(index, len(vectors))[:-_NUMBER_BYTES])
    whole.write(struct.pack("<Q", vectors.size))
    for start in range(0, len(vectors), _ROWS_AT_ONCE):
        whole.write(np.ascontiguousarray(vectors[start : start + _ROWS_AT_ONCE], "<f4").data)


def _write_lists(
    whole: IO[bytes], index: Any, portions: Iterable[Portion], count: int, folder: Path
) -> None:
    """Write an index with cells, shard by shard."""
    row_bytes = index.code_size + _ID_BYTES
    shard_bytes = max(SHARD_BYTES, count * row_bytes // MOST_SHARDS)
    with ExitStack() as files:

        def new_file() -> IO[bytes]:
            return files.enter_context(tempfile.TemporaryFile(dir=folder))

        shards = _written_shards(index, portions, max(1, shard_bytes // row_bytes), new_file)
        _write_whole(whole, index, shards, count)


def _empty(index: Any, count: int) -> bytes:
    """What FAISS writes of an index without vectors that it believes to have so many."""
    index.ntotal = count
    try:
        return bytes(faiss_module().serialize_index(index).tobytes())
    finally:
        index.ntotal = 0


def _written_shards(
    index: Any, portions: Iterable[Portion], rows: int, new_file: Callable[[], IO[bytes]]
) -> list[_Shard]:
    """The shards, each of the portions that bring it to so many rows."""
    part, shards, first = faiss_module().clone_index(index), list[_Shard](), 0
    for add in portions:
        add(part)
        if part.ntotal >= rows:
            shards.append(_written_shard(part, first, new_file()))
            first += part.ntotal
            part.reset()
    if part.ntotal:
        shards.append(_written_shard(part, first, new_file()))
    return shards


def _written_shard(part: Any, first: int, stream: IO[bytes]) -> _Shard:
    """Write the lists of an index whose first vector has this number."""
    faiss, lists = faiss_module(), part.invlists
    sizes = np.array([lists.list_size(cell) for cell in range(part.nlist)], np.int64)
    for cell in np.flatnonzero(sizes).tolist():
        size = int(sizes[cell])
        stream.write(faiss.rev_swig_ptr(lists.get_codes(cell), size * part.code_size).data)
        ids = faiss.rev_swig_ptr(lists.get_ids(cell), size)
        stream.write((np.asarray(ids, "<i8") + first).data)
    stream.seek(0)
    return _Shard(stream, sizes)


def _write_whole(whole: IO[bytes], index: Any, shards: Sequence[_Shard], count: int) -> None:
    """Write the index: what FAISS writes of an empty one, and the lists of all shards."""
    empty = _empty(index, count)
    if empty[-_EMPTY_LISTS : 4 - _EMPTY_LISTS] != _MARK:  # never, of the kinds above
        raise ValueError("FAISS writes its lists in another format")
    whole.write(empty[:-_EMPTY_LISTS])
    whole.write(_MARK + struct.pack("<QQ", index.nlist, index.code_size))
    whole.write(_FULL + struct.pack("<Q", index.nlist))
    sizes = np.sum([shard.sizes for shard in shards], axis=0)
    whole.write(np.asarray(sizes, "<u8").tobytes())
    for cell in range(index.nlist):
        ids = []
        for shard in shards:
            size = int(shard.sizes[cell])
            whole.write(shard.stream.read(size * index.code_size))
            ids.append(shard.stream.read(size * _ID_BYTES))
        whole.writelines(ids)
