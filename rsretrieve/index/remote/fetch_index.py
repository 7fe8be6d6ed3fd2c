"""Copy an index from an object store into a folder."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from rsretrieve._core.atomic_write import folder_aside, refuse_to_overwrite
from rsretrieve._core.folders.known_folders import INDEX_FOLDER
from rsretrieve._core.folders.own_files import remove_own
from rsretrieve._core.locks import only_writer
from rsretrieve._core.text import decimal_size
from rsretrieve.data.run_context import RunContext
from rsretrieve.errors import IndexDamaged, IndexNotFound, InputError, OutputRefused
from rsretrieve.index.cluster.shard_storage import ShardStorage
from rsretrieve.index.remote.listing import BLOCK_BYTES, LISTING, CopiedFile, Listing, block_name
from rsretrieve.index.remote.store_index import IndexCopy
from rsretrieve.index.store.folder import open_index
from rsretrieve.index.store.manifest import STORED_MODEL


def fetch_index(
    storage: ShardStorage, folder: Path, context: RunContext, *, overwrite: bool = False
) -> IndexCopy:
    """Copy an index from an object store into a folder.

    Blocks that an earlier copy in the folder, or an interrupted run, has already are not fetched.
    Each block is compared with its checksum.

    Args:
        storage: where the copy lies.
        folder: the index folder to write.
        context: gets the progress.
        overwrite: replace an index that is there.

    Returns:
        What was copied.

    Raises:
        IndexNotFound: the store holds no copy of an index there.
        IndexDamaged: the copy is damaged or incomplete.
        OutputExists, OutputRefused, OutputBusy: `folder` may not be written.
        InputError: the store does not answer, or the disk is too small.
    """
    refuse_to_overwrite(folder, overwrite=overwrite, kind=INDEX_FOLDER)
    content = storage.read(LISTING)
    if content is None:
        raise IndexNotFound(
            f"{storage.where} holds no index ({LISTING} is missing)",
            hint=f"copy one there: rsretrieve copy-index INDEX --output {storage.where}",
        )
    listing = Listing.from_bytes(content, storage.where)
    with only_writer(folder, INDEX_FOLDER):
        partial = folder.absolute().with_name(f".{folder.absolute().name}.fetching")
        _refuse_links(partial, partial / STORED_MODEL)
        _require_space(listing, partial)
        context.start_stage("copying blocks", sum(len(file.blocks) for file in listing.files))
        receiver = _Receiver(storage, (partial, folder), context)
        for file in listing.files:
            receiver.receive(file)
        tiles = len(open_index(partial).rows)
        with folder_aside(folder, overwrite=overwrite, kind=INDEX_FOLDER) as aside:
            if (partial / STORED_MODEL).is_dir():
                (aside / STORED_MODEL).mkdir()
            for file in listing.files:
                (partial / file.name).replace(aside / file.name)
        remove_own(partial, INDEX_FOLDER.writes | {file.name for file in listing.files})
    return IndexCopy(str(folder), tiles, len(listing.files), listing.size, receiver.transferred)


def _refuse_links(*folders: Path) -> None:
    """Refuse links in place of the folders of an unfinished copy: they may lead anywhere."""
    for folder in folders:
        if folder.is_symlink():
            raise OutputRefused(f"{folder} is a link, and is not written through", hint="remove it")


def _require_space(listing: Listing, partial: Path) -> None:
    """Refuse what the disk cannot hold, before the first block."""
    present = sum(path.stat().st_size for path in partial.rglob("*") if path.is_file())
    free = shutil.disk_usage(partial.parent).free + present
    if listing.size > free:
        raise InputError(
            f"the index has {decimal_size(listing.size)}, and the disk of {partial.parent} has "
            f"{decimal_size(free)} free",
            hint="choose another folder",
        )


class _Receiver:
    """Writes files block by block into the first folder; the others may have them already."""

    def __init__(
        self, storage: ShardStorage, folders: tuple[Path, ...], context: RunContext
    ) -> None:
        self._storage, self._folders, self._context = storage, folders, context
        self.transferred = 0

    def receive(self, file: CopiedFile) -> None:
        """Write a file whose blocks all have their checksums."""
        path = self._folders[0] / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink() or not path.is_file():  # never through a link or into a pipe
            path.unlink(missing_ok=True)
        path.touch()
        with path.open("r+b") as stream:
            stream.truncate(file.size)
            for number, (sha256, size) in enumerate(zip(file.blocks, file.block_sizes())):
                start = number * BLOCK_BYTES
                for block in self._present(file.name, start, size):
                    if hashlib.sha256(block).hexdigest() == sha256:
                        break
                else:
                    block = self._fetched(sha256, size)
                stream.seek(start)
                stream.write(block)
                self._context.advance(1)

    def _present(self, name: str, start: int, size: int) -> Iterator[bytes]:
        """What the folders have at the place of a block."""
        for folder in self._folders:
            path = folder / name
            if path.is_file() and path.stat().st_size >= start + size:
                with path.open("rb") as stream:
                    stream.seek(start)
                    yield stream.read(size)

    def _fetched(self, sha256: str, size: int) -> bytes:
        name = block_name(sha256)
        found = self._storage.size(name)
        block = self._storage.read(name) if found == size else None
        if block is None or hashlib.sha256(block).hexdigest() != sha256:
            said = "is missing" if found is None else "is damaged"
            raise IndexDamaged(
                f"{self._storage.where}/{name} {said}", hint="copy the index to the store again"
            )
        self.transferred += size
        return block
