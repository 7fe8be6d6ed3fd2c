"""The arguments of `build_index` for several machines."""

from __future__ import annotations

import os
from dataclasses import dataclass

from rsretrieve.api.arguments.checks import plain_text, text_of, whole
from rsretrieve.api.call_report import CallReport
from rsretrieve.enums import Engine
from rsretrieve.errors import InvalidArgument
from rsretrieve.index.cluster.cluster_options import ClusterOptions
from rsretrieve.index.cluster.ray_cluster import check_ray
from rsretrieve.index.cluster.run_files import require_own_files
from rsretrieve.index.cluster.shard_storage import storage_at
from rsretrieve.index.long_list import REPEATED, LongList, is_long_list, long_list


@dataclass(frozen=True)
class ClusterArguments:
    """The arguments as they are given; see `build_index`."""

    address: object = None
    shards: object = None
    workers: object = None
    shard_folder: object = None

    def options(self, engine: Engine, device: str) -> ClusterOptions | None:
        """The cluster to embed on, which is looked for now; None for the local engine.

        Raises:
            InvalidArgument, MissingPackage, InputError: an argument makes no sense, Ray is not
                installed, or nothing answers at the address.
            OutputRefused, OutputExists: see `require_own_files`.
        """
        if engine is Engine.LOCAL:
            if given := [name for name, value in vars(self).items() if value is not None]:
                raise InvalidArgument(f"{given[0]} needs engine='ray'")
            return None
        folder = self.shard_folder
        options = ClusterOptions(
            None if self.address is None else plain_text(self.address, "address"),
            None if self.shards is None else whole(self.shards, "shards", 1),
            None if self.workers is None else whole(self.workers, "workers", 1),
            None if folder is None else text_of(folder, "shard_folder"),
            device,
        )
        if options.shard_folder is not None:
            require_own_files(storage_at(options.shard_folder))
        check_ray(options.address)
        return options


def given_files(tiles: object) -> list[str] | None:
    """The paths, if tiles are given as paths."""
    given = [tiles] if isinstance(tiles, str | os.PathLike) else tiles
    if not isinstance(given, list | tuple):
        return None
    sources = [os.fspath(one) for one in given if isinstance(one, str | os.PathLike)]
    return sources if len(sources) == len(given) else None


def given_long_list(tiles: object, call: CallReport, *, refuse_repeated: bool) -> LongList | None:
    """The lists, if tiles are given as lists that are too long to be kept in memory.

    Raises:
        TableError: see `long_list`.
    """
    sources = given_files(tiles)
    if sources is None or not is_long_list(sources):
        return None
    listed = long_list(sources, refuse_repeated=refuse_repeated)
    call.notice(*([REPEATED] if listed is None else listed.sample.notices))
    return listed
