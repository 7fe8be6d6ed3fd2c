"""Copy an index folder into an object store."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from rsretrieve._core.regular_files import open_regular
from rsretrieve.data.run_context import RunContext
from rsretrieve.errors import IndexDamaged, OutputExists, OutputRefused
from rsretrieve.index.cluster.shard_storage import ShardStorage
from rsretrieve.index.remote.listing import (
    BLOCK_BYTES,
    LISTING,
    CopiedFile,
    Listing,
    block_name,
    is_listing,
)
from rsretrieve.index.store.folder import check_files, open_index
from rsretrieve.index.store.manifest import (
    CONFIG_FILE,
    FAISS_FILE,
    MANIFEST_FILE,
    STORED_MODEL,
    Manifest,
    has_config,
    read_manifest,
)
from rsretrieve.index.store.stored_model import stored_model_files, stored_model_problems


@dataclass(frozen=True)
class IndexCopy:
    """What was copied.

    Attributes:
        index: the folder or address that holds the copy now.
        tiles: the number of its tiles.
        files: the number of its files.
        size: of all files, in bytes.
        transferred: how many bytes were sent or received; the others were there already.

    Example:
        >>> import pathlib, numpy, rsretrieve
        >>> numpy.save("eye.npy", numpy.eye(4))
        >>> index = rsretrieve.build_index_from_embeddings("eye.npy", "index_of_eye")
        >>> store = (pathlib.Path.cwd() / "store_of_eye").as_uri()
        >>> copied = rsretrieve.copy_index(index, store)
        >>> copied.tiles, copied.transferred == copied.size
        (4, True)
    """

    index: str
    tiles: int
    files: int
    size: int
    transferred: int


def store_index(
    folder: Path, storage: ShardStorage, context: RunContext, *, overwrite: bool = False
) -> IndexCopy:
    """Copy an index folder into an object store.

    Blocks that the store has already are not sent. The listing is written last: until then, the
    store holds the earlier copy, if there is one. Its blocks stay.

    Args:
        folder: the index folder.
        storage: where the copy will lie.
        context: gets the progress and the notices.
        overwrite: replace the copy of another index, or of an earlier version of this one.

    Returns:
        What was copied.

    Raises:
        IndexNotFound, IndexDamaged: the folder holds no index, or a damaged one, or it was
            replaced meanwhile.
        OutputExists: the store holds another copy, and `overwrite` is false.
        OutputRefused: the store holds a file of another program with the name of the listing.
        InputError: the store does not answer, or refuses.
    """
    store = open_index(folder)
    faiss = store.files.get(FAISS_FILE, folder / FAISS_FILE)
    check_files(folder, {FAISS_FILE: faiss}, store.manifest)
    earlier = storage.read(LISTING)
    if earlier is not None and not is_listing(earlier):
        raise OutputRefused(
            f"{storage.where} holds {LISTING}, which rsretrieve did not write and would replace",
            hint="choose another address",
        )
    if earlier is not None and not overwrite and not _is_of(earlier, folder, storage):
        raise OutputExists(
            f"{storage.where} holds another index, or a damaged copy",
            hint="choose another address, or --overwrite",
        )
    names = _names(folder, store.manifest)
    if CONFIG_FILE not in names and os.path.lexists(folder / CONFIG_FILE):
        context.notice(f"{folder / CONFIG_FILE} is a link or no file, and is left out")
    sender = _Sender(storage, context)
    context.start_stage("copying blocks", sum(_block_count(folder / name) for name in names))
    listing = Listing(
        tuple(sender.send(name, store.files.get(name, folder / name)) for name in names)
    )
    if read_manifest(folder) != store.manifest:
        raise IndexDamaged(f"{folder} was replaced while it was copied", hint="repeat the command")
    if (content := listing.to_bytes()) != earlier:
        storage.write(LISTING, content)
    if store.manifest.model and not store.manifest.has_stored_model:
        context.notice(
            f"the copy does not hold the model of the index ({store.manifest.model}): on other "
            "machines, give its folder with --model"
        )
    return IndexCopy(
        storage.where, store.manifest.tiles, len(names), listing.size, sender.transferred
    )


def _names(folder: Path, manifest: Manifest) -> list[str]:
    """Every file of the index; of a stored model, those that its description names."""
    names = [MANIFEST_FILE, *(n for n in manifest.sha256 if not n.startswith(f"{STORED_MODEL}/"))]
    if manifest.has_stored_model:
        if problems := stored_model_problems(folder / STORED_MODEL):
            raise IndexDamaged(problems[0])
        names += [f"{STORED_MODEL}/{name}" for name in stored_model_files(folder / STORED_MODEL)]
    return names + [CONFIG_FILE] * has_config(folder)


def _is_of(earlier: bytes, folder: Path, storage: ShardStorage) -> bool:
    """Whether the copy that is there is one of exactly this index, and can be read."""
    try:
        listing = Listing.from_bytes(earlier, storage.where)
    except IndexDamaged:
        return False
    blocks = {file.name: file.blocks for file in listing.files}
    with open_regular(folder / MANIFEST_FILE) as stream:
        return blocks[MANIFEST_FILE] == tuple(map(_sha256, _blocks(stream)))


def _block_count(path: Path) -> int:
    return -(-path.stat().st_size // BLOCK_BYTES)


class _Sender:
    """Sends files block by block, and counts what was sent."""

    def __init__(self, storage: ShardStorage, context: RunContext) -> None:
        self._storage, self._context = storage, context
        self.transferred = 0

    def send(self, name: str, path: Path) -> CopiedFile:
        """Send the blocks of a file that the store does not have."""
        size, blocks = 0, []
        with open_regular(path) as stream:
            for block in _blocks(stream):
                digest = _sha256(block)
                if self._storage.size(block_name(digest)) != len(block):
                    self._storage.write(block_name(digest), block)
                    self.transferred += len(block)
                size += len(block)
                blocks.append(digest)
                self._context.advance(1)
        return CopiedFile(name, size, tuple(blocks))


def _blocks(stream: BinaryIO) -> Iterator[bytes]:
    while block := stream.read(BLOCK_BYTES):
        yield block


def _sha256(block: bytes) -> str:
    return hashlib.sha256(block).hexdigest()
