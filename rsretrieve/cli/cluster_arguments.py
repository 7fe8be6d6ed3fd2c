"""The options of `rsretrieve index` for several machines."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from rsretrieve.enums import Engine

if TYPE_CHECKING:
    from rsretrieve.index.cluster.cluster_options import ClusterOptions

_cluster = partial(typer.Option, rich_help_panel="Several machines")
EngineOption = Annotated[
    Engine,
    _cluster(
        help="local: embed in this process. ray: in processes of a Ray cluster, shard by shard; "
        "what ends in the middle is done again by another process, and an interrupted run "
        "continues when the command is repeated."
    ),
]
Address = Annotated[
    str | None,
    _cluster(
        metavar="HOST:PORT",
        help="Address of the Ray cluster, or auto. \\[default: the one in RAY_ADDRESS, or "
        "processes on this machine]",
    ),
]
Shards = Annotated[
    int | None,
    _cluster(
        metavar="N",
        help="Number of shards, each of which is embedded and written as a whole. \\[default: "
        "one for 256 to 65,536 tiles, a thousand if possible]",
    ),
]
Workers = Annotated[
    int | None,
    _cluster(
        metavar="N",
        help="Number of processes that embed. \\[default: one a GPU, or else one a core]",
    ),
]
ShardFolder = Annotated[
    str | None,
    _cluster(
        metavar="DIR|s3://…",
        help="Where the shards lie, and stay: a folder that all machines share, or an address in "
        "an object store, whose endpoint (AWS_ENDPOINT_URL) and credentials come from the "
        "environment. \\[default: a folder beside --output, removed in the end]",
    ),
]


def cluster_of_options(
    engine: Engine,
    device: str,
    given: tuple[str | None, int | None, int | None, str | None],
    *,
    embeds: bool,
) -> ClusterOptions | None:
    """The cluster to embed on, which is looked for now; None for the local engine.

    Args:
        engine: the engine.
        device: as typed.
        given: address, shards, workers and shard folder.
        embeds: the command embeds tiles.

    Raises:
        MissingPackage, InvalidArgument, InputError: see `check_ray`.
        OutputRefused, OutputExists: see `require_own_files`.
    """
    names = ("--address", "--shards", "--workers", "--shard-folder")
    typed = [name for name, value in zip(names, given) if value is not None]
    if engine is Engine.LOCAL:
        if typed:
            raise typer.BadParameter(f"{typed[0]} needs --engine ray")
        return None
    if not embeds:
        raise typer.BadParameter("--engine ray embeds TILES: give no other source, and no upkeep")
    from rsretrieve.index.cluster.cluster_options import ClusterOptions
    from rsretrieve.index.cluster.ray_cluster import check_ray
    from rsretrieve.index.cluster.run_files import require_own_files
    from rsretrieve.index.cluster.shard_storage import storage_at

    address, shards, workers, folder = given
    options = ClusterOptions(address, shards, workers, folder, device)
    if folder is not None:
        require_own_files(storage_at(folder))
    check_ray(address)
    return options
