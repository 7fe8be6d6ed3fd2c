"""Build indexes of embeddings that were made elsewhere, from Python."""

from __future__ import annotations

import os
from pathlib import Path

from rsretrieve.api.arguments.checks import (
    PathLike,
    device_name,
    flag,
    path_of,
    plain_text,
    whole,
)
from rsretrieve.api.arguments.cluster_argument import given_long_list
from rsretrieve.api.arguments.index_arguments import index_goal, paths_given, record_index
from rsretrieve.api.call_report import CallReport, Progress
from rsretrieve.api.opened_index import Index
from rsretrieve.api.opened_tiles import TilesLike, tiles_of
from rsretrieve.api.trained_model import paths_among
from rsretrieve.data.windowing import WindowChoices
from rsretrieve.errors import InvalidArgument
from rsretrieve.export.output_paths import OutputPaths
from rsretrieve.index.build_from_embeddings import EmbeddingUpdate, index_embeddings
from rsretrieve.index.external.choices import EmbeddingChoices
from rsretrieve.index.external.listed_rows import Listing
from rsretrieve.index.long_list import LongList
from rsretrieve.index.store.folder import open_index
from rsretrieve.index.vectors.choose_kind import AUTO
from rsretrieve.index.vectors.faiss_loader import usable_gpu
from rsretrieve.index.write import IndexBuildOptions
from rsretrieve.network.device import choose_device


def build_index_from_embeddings(
    embeddings: PathLike,
    output: PathLike,
    *,
    tiles: TilesLike | None = None,
    index: str = AUTO,
    recall: float | None = None,
    memory: int | str | None = None,
    append_only: bool = False,
    id_column: str | None = None,
    vector_column: str | None = None,
    dimensions: int | None = None,
    window: int | None = None,
    stride: int | None = None,
    update: bool = False,
    changes_only: bool = False,
    overwrite: bool = False,
    device: str = "auto",
    strict: bool = False,
    progress: Progress | None = None,
) -> Index:
    """Write an index folder of embeddings that were made elsewhere, or update it.

    Args:
        embeddings: a table, Parquet or CSV (ids; vectors as a column of lists, or a column a
            dimension; optionally `label`, `path`, and `geometry` or `longitude` and `latitude`);
            a `.npy` (N, D); or a GeoTIFF with a band a dimension.
        output: the index folder to write.
        tiles: a list whose row i is row i of the `.npy`, or open tiles in that order; without
            them the rows are numbered.
        index: as in `build_index`, like the next four.
        recall: the share of the true 10 nearest that a search should find.
        memory: what the index may take in memory.
        append_only: nothing will be removed.
        id_column: the column of ids; by default it is found by its name, and rows are numbered if
            there is none.
        vector_column: the column of lists, or what the names of numbered columns begin with; by
            default they are found by name and type.
        dimensions: only the first ones are kept, which is right for models that were trained for
            it (Matryoshka).
        window: the side of the windows of a raster, in pixels; each is one tile, with the mean
            vector of its pixels. By default every pixel is a tile.
        stride: the distance between windows; by default their side.
        update: bring the index that is there up to date: add, replace and remove tiles by id. It
            keeps its kind and its training, unless `index`, `recall`, `memory` or `append_only` is
            given with another value than its default; those not given stay as they were.
        changes_only: with `update`, the file names only tiles that changed, and a row without a
            vector removes its tile; otherwise tiles that the file does not name are removed.
        overwrite: replace an index that is there. With `update`: also if most of its tiles are
            removed.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        strict: the first row that cannot be used ends the work.
        progress: called with every event; see `rsretrieve.progress`.

    Returns:
        The index, open for search by ids, places and vectors.

    Raises:
        InvalidArgument: an argument is of a wrong type, or makes no sense.
        OutputExists, OutputRefused, OutputBusy: `output` may not be written.
        TableError, NoUsableTiles: the embeddings cannot be used.

    Example:
        >>> import numpy, rsretrieve
        >>> numpy.save("vectors.npy", numpy.eye(4))
        >>> index = rsretrieve.build_index_from_embeddings("vectors.npy", "index_of_vectors")
        >>> index.search([0, 1, 0, 0], k=1)[0].tile
        '1'
    """
    with CallReport(progress, strict=strict) as call:
        folder, changes = path_of(output, "output"), _changes(update, changes_only)
        updated = None if changes is None else folder
        goal = index_goal(index, recall, memory, append_only, updated)
        source = path_of(embeddings, "embeddings")
        choices = _choices(id_column, vector_column, dimensions, window, stride)
        inputs = paths_among({"embeddings": embeddings, "tiles": tiles})
        paths = OutputPaths(folder={"output": folder}, inputs=inputs)
        paths.check()
        _refuse_folder(tiles)
        listing: Listing | None = None
        if changes is None and tiles is not None:
            listing = given_long_list(tiles, call, refuse_repeated=False)
        if isinstance(listing, LongList):
            paths.check_tiles(listing.paths)
        elif tiles is not None:
            listing = found = tiles_of(tiles, call).tile_set
            paths.check_tiles(lambda: (tile.path for tile in found))
        gpu = usable_gpu(str(choose_device(device_name(device))))
        options = IndexBuildOptions(folder, goal, gpu, overwrite=flag(overwrite, "overwrite"))
        index_embeddings(source, listing, options, call.context, choices, changes)
        if changes is None or not changes.changes_only:
            given: dict[str, object] = {
                "tiles": paths_given(tiles),
                "from_embeddings": source,
                "id_column": id_column,
                "vector_column": vector_column,
                "dims": dimensions,
                "window": window,
                "stride": stride,
                **({} if goal is None else goal.options()),
            }
            record_index(folder, given, updated=changes is not None)
        store = open_index(folder)
    return Index(store, None, device_name(device), call.failures)


def _refuse_folder(tiles: object) -> None:
    """Refuse tiles that have no order of their own."""
    if isinstance(tiles, str | os.PathLike) and Path(tiles).is_dir():
        raise InvalidArgument(
            f"{os.fspath(tiles)} is a folder; its tiles have no order that rows could follow",
            hint="give a list (CSV or Parquet: tile) whose row i is row i of the .npy",
        )


def _choices(
    id_column: object, vector_column: object, dimensions: object, window: object, stride: object
) -> EmbeddingChoices:
    """How a file of embeddings is read."""
    if stride is not None and window is None:
        raise InvalidArgument("stride needs window")
    return EmbeddingChoices(
        None if id_column is None else plain_text(id_column, "id_column"),
        None if vector_column is None else plain_text(vector_column, "vector_column"),
        None if dimensions is None else whole(dimensions, "dimensions"),
        None
        if window is None
        else WindowChoices(
            whole(window, "window"),
            None if stride is None else whole(stride, "stride"),
        ),
    )


def _changes(update: object, changes_only: object) -> EmbeddingUpdate | None:
    """How embeddings change an index that is there; None for a new one."""
    if flag(update, "update"):
        return EmbeddingUpdate(flag(changes_only, "changes_only"))
    if flag(changes_only, "changes_only"):
        raise InvalidArgument("changes_only needs update")
    return None
