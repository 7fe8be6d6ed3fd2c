"""Build indexes of tiles and a model, from Python."""

from __future__ import annotations

import os

from rsretrieve._core.atomic_write import refuse_to_overwrite
from rsretrieve._core.folders.known_folders import INDEX_FOLDER
from rsretrieve._core.paths import unchecked_notices
from rsretrieve.api.arguments.checks import (
    PathLike,
    device_name,
    flag,
    one_of,
    path_of,
    text_of,
)
from rsretrieve.api.arguments.cluster_argument import ClusterArguments, given_long_list
from rsretrieve.api.arguments.embedding_request import embedding_request, used_model
from rsretrieve.api.arguments.index_arguments import index_goal, paths_given, record_index
from rsretrieve.api.call_report import CallReport, Progress
from rsretrieve.api.opened_index import Index
from rsretrieve.api.opened_tiles import TilesLike, tiles_of
from rsretrieve.api.trained_model import Model, ModelLike, model_path, paths_among
from rsretrieve.enums import Engine
from rsretrieve.export.output_paths import OutputPaths
from rsretrieve.index.build import index_tiles
from rsretrieve.index.build_from_list import index_long_list
from rsretrieve.index.store.folder import open_index
from rsretrieve.index.vectors.choose_kind import AUTO
from rsretrieve.network.shipped.shipped_models import given_model
from rsretrieve.search.search import model_folder_of


def build_index(
    tiles: TilesLike,
    model: ModelLike | None,
    output: PathLike,
    *,
    index: str = AUTO,
    recall: float | None = None,
    memory: int | str | None = None,
    append_only: bool = False,
    weights: PathLike | None = None,
    backbone: str | None = None,
    seed: int = 0,
    update: bool = False,
    overwrite: bool = False,
    engine: str = Engine.LOCAL,
    address: str | None = None,
    shards: int | None = None,
    workers: int | None = None,
    shard_folder: PathLike | None = None,
    device: str = "auto",
    strict: bool = False,
    progress: Progress | None = None,
) -> Index:
    """Embed tiles and write an index folder.

    An interrupted run continues where it stopped when it is called again.

    Args:
        tiles: open tiles, or what `open_tiles` takes.
        model: a loaded model, its folder, or the name of a shipped one, which is stored in the
            index. None: in an update, the model of the index; otherwise an embedding that needs no
            training, chosen by the tiles and stored in the index. A notice says which and why.
        output: the index folder to write.
        index: `auto` (chosen by the number of tiles, `recall` and `memory`), or a FAISS key such
            as `Flat`, `IVF256,Flat` or `HNSW32`.
        recall: the share of the true 10 nearest that a search should find, up to 1 (exact);
            by default 0.95.
        memory: what the index may take in memory, in bytes or as `"2GB"`; by default half of
            what is free.
        append_only: nothing will be removed, so that `auto` may choose a graph (HNSW).
        weights: without a model: `imagenet` or a weights file. The features of that network,
            which is not trained, are reduced to principal components of the tiles.
        backbone: the network of `weights`; by default `mobilenet_v2`.
        seed: the random seed of an embedding that is fitted to the tiles.
        update: bring the index that is there up to date: embed new and changed tiles, and drop
            those that are gone. It keeps its kind and its training, unless `index`, `recall`,
            `memory` or `append_only` is given with another value than its default; those not
            given stay as they were.
        overwrite: replace an index that is there; a folder that is no index never is. With
            `update`: also remove tiles that are gone if they are most of the index.
        engine: `local`, or `ray`: processes of a Ray cluster embed, shard by shard. The next four
            are for it.
        address: `HOST:PORT` of the cluster, or `auto`; by default the one in `RAY_ADDRESS`, or
            processes on this machine. A connection that the program has already is used.
        shards: the number of shards; by default one for 256 to 65,536 tiles.
        workers: the number of processes; by default one a GPU, or else one a core.
        shard_folder: where the shards lie, and stay: a folder that all machines share, or
            `s3://…`; by default a folder beside `output`, which is removed in the end.
        device: `auto` (a GPU where there is one), `cpu`, `cuda` or `cuda:N`; a loaded model
            stays where it is.
        strict: the first tile that cannot be used ends the work.
        progress: called with every event; see `rsretrieve.progress`.

    Returns:
        The index, open for search.

    Raises:
        InvalidArgument: an argument is of a wrong type, or makes no sense.
        OutputExists, OutputRefused, OutputBusy: `output` may not be written.
        NoUsableTiles: not one tile can be used.
        ModelMismatch: an update with another model than the index was built with.
        WeightsError: `weights` cannot be obtained, or do not fit.
        MissingPackage: Ray is not installed.
        InputError: the cluster or the object store does not answer.

    Example:
        >>> import rsretrieve
        >>> index = rsretrieve.build_index("tiles", "models/mine", "new_index")
        >>> len(index)
        144
        >>> len(rsretrieve.build_index("tiles", None, "first_index"))
        144
    """
    with CallReport(progress, strict=strict) as call:
        folder = path_of(output, "output")
        replaces, updates = flag(overwrite, "overwrite"), flag(update, "update")
        updated = folder if updates else None
        goal = index_goal(index, recall, memory, append_only, updated)
        spread = ClusterArguments(address, shards, workers, shard_folder)
        asked_model = model
        asked = embedding_request(model, weights, backbone, seed, update=updates)
        if isinstance(model, str | os.PathLike):
            model = model_path(model, call)
        inputs = paths_among({"tiles": tiles, "model": model, "weights": asked.file})
        kept = (
            {} if shard_folder is None else {"shard_folder": text_of(shard_folder, "shard_folder")}
        )
        paths = OutputPaths(folder={"output": folder}, inputs=inputs, kept=kept)
        paths.check()
        cluster = spread.options(one_of(engine, Engine, "engine"), device_name(device))
        listed = (
            None if updates else given_long_list(tiles, call, refuse_repeated=cluster is not None)
        )
        found = tiles_of(tiles if listed is None else listed.sample, call)
        paths.check_tiles(listed.paths if listed else lambda: (tile.path for tile in found))
        if updates:
            call.notice(*unchecked_notices(tile.location for tile in found.tile_set))
        if model is None and updates:
            model = model_folder_of(open_index(folder))
        refuse_to_overwrite(folder, overwrite=replaces or updates, kind=INDEX_FOLDER)
        with used_model(model, found.tile_set, asked, device, call) as used:
            stores = not updates and (model is None or given_model(used.path).is_shipped)
            if listed is not None:
                index_long_list(
                    used.loaded,
                    listed,
                    folder,
                    call.context,
                    cluster,
                    goal=goal,
                    overwrite=replaces,
                    store_model=stores,
                )
            else:
                index_tiles(
                    used.loaded,
                    found.tile_set,
                    folder,
                    call.context,
                    goal=goal,
                    overwrite=replaces,
                    update=updates,
                    store_model=stores,
                    cluster=cluster,
                )
        given: dict[str, object] = {
            "tiles": paths_given(tiles),
            "model": used.path if isinstance(asked_model, Model) else asked_model,
            "weights": weights,
            "backbone": backbone,
            "seed": seed,
            **({} if goal is None else goal.options()),
            "engine": engine,
            **vars(spread),
        }
        record_index(folder, given, updated=updates)
        store = open_index(folder)
    of_user = None if model is None else used
    return Index(store, of_user, device_name(device), call.failures)
