"""The shards of one run: which there are, and their content, checked."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from rsretrieve.errors import InputError
from rsretrieve.index.cluster.part_embedder import ShardReport
from rsretrieve.index.cluster.parts import shard_name
from rsretrieve.index.cluster.shard_file import Shard, read_shard
from rsretrieve.index.cluster.shard_storage import ShardStorage


@dataclass
class Shards:
    """The shards of one run.

    Attributes:
        storage: where they lie.
        dimensions: D.
        digests: of their parts, by number.
        reports: of their parts, by number.
    """

    storage: ShardStorage
    dimensions: int
    digests: dict[int, str] = field(default_factory=dict)
    reports: dict[int, ShardReport] = field(default_factory=dict)

    def read(self) -> Iterator[Shard]:
        """The shards in the order of the tiles, each checked.

        Raises:
            InputError: a shard is missing, or is not what was written.
        """
        for number, digest in sorted(self.digests.items()):
            report, name = self.reports[number], shard_name(number, digest)
            content = self.storage.read(name)
            where = f"{self.storage.where}/{name}"
            if content is None or hashlib.sha256(content).hexdigest() != report.sha256:
                is_here = "is missing" if content is None else "is not what was written"
                raise InputError(
                    f"{where} {is_here} ({report.where} wrote it)",
                    hint="the folder must be one that all machines share, and nobody else may "
                    "write in it; repeat the command to continue",
                )
            try:
                yield read_shard(content, digest, self.dimensions)
            except ValueError as error:
                raise InputError(f"{where}: {error}") from error


def checked_reports(reports: Iterable[ShardReport]) -> Iterator[ShardReport]:
    """The reports of parts that are done.

    Raises:
        RsretrieveError: the error of a part that must end the run.
    """
    for report in reports:
        if report.error is not None:
            raise report.error
        yield report
