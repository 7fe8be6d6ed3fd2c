"""Copy an index between a folder and an object store."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from rsretrieve.data.run_context import RunContext
from rsretrieve.errors import InvalidArgument
from rsretrieve.index.cluster.shard_storage import BUCKET_START, ShardStorage, storage_at
from rsretrieve.index.remote.fetch_index import fetch_index
from rsretrieve.index.remote.store_index import IndexCopy, store_index

_FILE_START = "file:///"


def copy_index(
    source: str, target: str, context: RunContext, *, overwrite: bool = False
) -> IndexCopy:
    """Copy an index into an object store, or from there into a folder.

    Args:
        source: an index folder, or the address of a copy: `s3://BUCKET/NAME`, or `file:///PATH` on
            a disk that several machines share.
        target: the other of the two.
        context: gets the progress and the notices.
        overwrite: replace what `target` holds.

    Returns:
        What was copied.

    Raises:
        InvalidArgument: both or none of them is an address, or one has a query or a fragment.
        IndexNotFound, IndexDamaged, OutputExists, OutputBusy, InputError: see `store_index` and
            `fetch_index`.
    """
    remote = [is_address(path) for path in (source, target)]
    if all(remote) or not any(remote):
        raise InvalidArgument(
            f"{source} and {target}: one of them must be a folder and the other an address",
            hint="copy from a folder to s3://BUCKET/NAME, or from there to a folder",
        )
    if remote[0]:
        return fetch_index(_storage(source), Path(target), context, overwrite=overwrite)
    return store_index(Path(source), _storage(target), context, overwrite=overwrite)


def is_address(path: str) -> bool:
    """Whether a path is an address of a store, not a folder."""
    return path.startswith((BUCKET_START, _FILE_START))


def local_folder(path: str) -> Path | None:
    """The folder that a path or an address of a store names; None for one in a bucket.

    Raises:
        InvalidArgument: the address has a query or a fragment.
    """
    if path.startswith(BUCKET_START):
        return None
    if not path.startswith(_FILE_START):
        return Path(path)
    if "?" in path or "#" in path:
        raise InvalidArgument(
            f"{path} has a query or a fragment, which no folder has",
            hint="in an address, write %3F for ? and %23 for #",
        )
    return Path(unquote(urlsplit(path).path))


def _storage(address: str) -> ShardStorage:
    folder = local_folder(address)
    return storage_at(address if folder is None else str(folder))
