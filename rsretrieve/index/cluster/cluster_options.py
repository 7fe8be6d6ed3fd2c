"""How the work is spread over a cluster, as the user says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rsretrieve._core.atomic_write import resolved
from rsretrieve.errors import InvalidArgument

_LEAST_ROWS, _MOST_ROWS, _USUAL_SHARDS = 256, 65_536, 1_000
_MOST_SHARDS = 1_000_000


@dataclass(frozen=True)
class ClusterOptions:
    """Where the work runs, and into how many shards it is divided.

    Attributes:
        address: of a Ray cluster, `HOST:PORT` or `auto`; None for the cluster that `RAY_ADDRESS`
            names, or else for processes on this machine.
        shards: the number of shards; None: of 256 to 65,536 tiles each, a thousand if possible.
        workers: the number of processes that embed; None: one a GPU, or else one a core.
        shard_folder: where the shards lie: a folder that all machines share, or `s3://…`. None: a
            folder beside the index, which is removed in the end.
        device: `auto` (GPUs where the cluster has some), `cpu` or `cuda`.
    """

    address: str | None = None
    shards: int | None = None
    workers: int | None = None
    shard_folder: str | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.shards is not None and not 1 <= self.shards <= _MOST_SHARDS:
            raise InvalidArgument(f"shards must be 1 to {_MOST_SHARDS:,}, not {self.shards}")
        if self.workers is not None and self.workers < 1:
            raise InvalidArgument(f"workers must be at least 1, not {self.workers}")

    def rows_a_shard(self, tiles: int) -> int:
        """The number of tiles in each shard but the last.

        Args:
            tiles: the number of all tiles.
        """
        if self.shards is not None:
            return max(1, -(-tiles // self.shards))
        return min(_MOST_ROWS, max(_LEAST_ROWS, -(-tiles // _USUAL_SHARDS)))

    def shards_of(self, index: Path) -> str:
        """The folder or address of the shards of an index."""
        return self.shard_folder or str(own_shard_folder(index))


def own_shard_folder(index: Path) -> Path:
    """The folder of shards beside an index, which belongs to unfinished runs of it."""
    return resolved(index).with_name(f".{resolved(index).name}.shards")
