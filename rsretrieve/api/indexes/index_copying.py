"""Copy an index into an object store, or from there, from Python."""

from __future__ import annotations

from rsretrieve.api.arguments.checks import PathLike, flag, text_of
from rsretrieve.api.call_report import CallReport, Progress
from rsretrieve.api.opened_index import Index
from rsretrieve.export.output_paths import OutputPaths
from rsretrieve.index.remote import copy_index as copying
from rsretrieve.index.remote.store_index import IndexCopy

__all__ = ["IndexCopy", "copy_index"]


def copy_index(
    source: Index | PathLike,
    target: PathLike,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> IndexCopy:
    """Copy an index into an object store, or from there into a folder.

    Only blocks that the other side does not have are sent; an interrupted copy continues when the
    function is called again. Endpoint and credentials of S3 come from the environment
    (`AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID` …).

    Args:
        source: an open index or its folder; or the address of a copy, `s3://BUCKET/NAME` or
            `file:///PATH`.
        target: an address, or the folder to write.
        overwrite: replace another index at `target`.
        progress: called with every event; see `rsretrieve.progress`.

    Returns:
        What was copied: `index` (where it lies), `tiles`, `files`; in bytes `size`, `transferred`.

    Raises:
        InvalidArgument: both or none of them is an address.
        IndexNotFound, IndexDamaged: there is no index, or it is damaged.
        OutputExists, OutputRefused, OutputBusy: `target` may not be written.
        InputError: the store does not answer, or refuses; or the disk is too small.

    Example:
        >>> import pathlib, numpy, rsretrieve
        >>> numpy.save("vectors.npy", numpy.eye(4))
        >>> index = rsretrieve.build_index_from_embeddings("vectors.npy", "index_of_vectors")
        >>> store = (pathlib.Path.cwd() / "store").as_uri()
        >>> rsretrieve.copy_index(index, store).tiles
        4
        >>> rsretrieve.copy_index(store, "index_elsewhere").index
        'index_elsewhere'
    """
    with CallReport(progress) as call:
        one = str(source.path) if isinstance(source, Index) else text_of(source, "source")
        other, replaces = text_of(target, "target"), flag(overwrite, "overwrite")
        inputs, place = {"source": copying.local_folder(one)}, copying.local_folder(other)
        if copying.is_address(other):
            OutputPaths(inputs=inputs, kept={"target": place}).check()
        else:
            OutputPaths(folder={"target": place}, inputs=inputs).check()
        return copying.copy_index(one, other, call.context, overwrite=replaces)
