"""Fill the inverted lists of an index on the disk, for an index that is larger than memory.

FAISS fills lists in memory. Its own lists on disk (`OnDiskInvertedLists`) are a second file, which
the index names by its path; a file of a stranger could name any other. Here the vectors are encoded
shard by shard, and the lists of all shards are written into one file of FAISS's ordinary format
(`ilar` in its `index_write.cpp`), which can be memory-mapped.
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve.index.vectors.faiss_checks import read_checked
from rsretrieve.index.vectors.faiss_loader import faiss_module

SHARD_BYTES = 1 << 28
_BLOCK = 65_536
_ID_BYTES = 8
_EMPTY_LISTS = 32  # bytes of the lists of an empty index: mark, two numbers, layout, no sizes
_MARK, _FULL = b"ilar", b"full"


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
    """Whether an index is of a kind whose lists can be filled on the disk."""
    faiss = faiss_module()
    kinds = ("IndexIVFFlat", "IndexIVFPQ", "IndexIVFScalarQuantizer", "IndexIVFRaBitQ")
    known = [getattr(faiss, name) for name in kinds if hasattr(faiss, name)]
    return type(faiss.downcast_index(index)) in known and Path("/dev/fd").is_dir()


def filled_on_disk(
    index: Any, vectors: NDArray[np.float32], folder: Path, shard_bytes: int = SHARD_BYTES
) -> Any:
    """Fill a trained index in a file without a name, which goes with the index.

    Args:
        index: a trained, empty index of a kind that `can_fill_on_disk` accepts.
        vectors: (N, D) float32, unit rows; may be memory-mapped.
        folder: a folder on the disk to use; made if it is missing.
        shard_bytes: memory for the lists of a shard.

    Returns:
        The filled index, memory-mapped.

    Raises:
        OSError: the disk is full.
    """
    faiss = faiss_module()
    index = faiss.downcast_index(index)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as whole:
        with ExitStack() as files:

            def new_file() -> IO[bytes]:
                return files.enter_context(tempfile.TemporaryFile(dir=folder))

            shards = _written_shards(index, vectors, new_file, shard_bytes)
            _write_whole(whole, index, shards, len(vectors))
        whole.flush()
        path = Path(f"/dev/fd/{whole.fileno()}")
        return read_checked(faiss, path, faiss.IO_FLAG_MMAP_IFC, vectors)


def _written_shards(
    index: Any, vectors: NDArray[np.float32], new_file: Callable[[], IO[bytes]], shard_bytes: int
) -> list[_Shard]:
    rows = max(1, shard_bytes // (index.code_size + _ID_BYTES))
    part, shards = faiss_module().clone_index(index), list[_Shard]()
    for first in range(0, len(vectors), rows):
        part.reset()
        for start in range(first, min(first + rows, len(vectors)), _BLOCK):
            end = min(start + _BLOCK, first + rows, len(vectors))
            block = np.ascontiguousarray(vectors[start:end], np.float32)
            part.add_with_ids(block, np.arange(start, end, dtype=np.int64))
        shards.append(_written_shard(part, new_file()))
    return shards


def _written_shard(part: Any, stream: IO[bytes]) -> _Shard:
    faiss, lists = faiss_module(), part.invlists
    sizes = np.array([lists.list_size(cell) for cell in range(part.nlist)], np.int64)
    for cell in np.flatnonzero(sizes).tolist():
        size = int(sizes[cell])
        stream.write(faiss.rev_swig_ptr(lists.get_codes(cell), size * part.code_size).data)
        stream.write(faiss.rev_swig_ptr(lists.get_ids(cell), size).data)
    stream.seek(0)
    return _Shard(stream, sizes)


def _write_whole(whole: IO[bytes], index: Any, shards: Sequence[_Shard], count: int) -> None:
    """Write the index: what FAISS writes of an empty one, and the lists of all shards."""
    index.ntotal = count
    empty = faiss_module().serialize_index(index).tobytes()
    index.ntotal = 0
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
