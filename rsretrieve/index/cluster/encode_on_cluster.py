"""Fill a trained FAISS index on a cluster: shards are encoded in parallel, and merged here."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve.errors import InputError, RsretrieveError
from rsretrieve.index.cluster.cluster_options import ClusterOptions
from rsretrieve.index.cluster.parts import shard_name
from rsretrieve.index.cluster.ray_cluster import Machines, Processes, connected, each_done
from rsretrieve.index.cluster.run_files import TRAINED, encoded_name
from rsretrieve.index.cluster.shard_file import read_shard
from rsretrieve.index.cluster.shard_storage import ShardStorage
from rsretrieve.index.vectors.faiss_loader import faiss_module, inverted_lists_of
from rsretrieve.index.vectors.fit import portions_here
from rsretrieve.index.vectors.lists_on_disk import Portion

MANY_VECTORS = 1_000_000
"""Fewer are encoded here: that takes seconds."""


@dataclass(frozen=True)
class EncodingJob:
    """What is the same for all shards.

    Attributes:
        storage: where the shards and the trained index lie.
        trained: the SHA-256 of the trained index.
        dimensions: D.
    """

    storage: ShardStorage
    trained: str
    dimensions: int


@dataclass(frozen=True)
class Encoded:
    """A shard that was encoded.

    Attributes:
        number: the number of its part.
        sha256: of the index of its vectors.
        error: why the run must end; None if all is well.
    """

    number: int
    sha256: str = ""
    error: RsretrieveError | None = None


@dataclass(frozen=True)
class ClusterFill:
    """Adds the vectors of shards to a trained index; see `IndexBuildOptions.fill`.

    Attributes:
        storage: where the shards lie.
        digests: of their parts, by number; their vectors are those of the index, in this order.
        options: the cluster.
    """

    storage: ShardStorage
    digests: Mapping[int, str]
    options: ClusterOptions

    def __call__(self, index: Any, vectors: NDArray[np.float32]) -> Iterator[Portion]:
        """What fills an index, shard by shard.

        Raises:
            InputError: the cluster cannot be used, or a file is not what was written.
        """
        ivf = inverted_lists_of(index)
        if len(vectors) < MANY_VECTORS or ivf is None or "FastScan" in type(ivf).__name__:
            return portions_here(index, vectors)
        return self._encoded(index, vectors.shape[1])

    def _encoded(self, index: Any, dimensions: int) -> Iterator[Portion]:
        faiss = faiss_module()
        trained = faiss.serialize_index(index).tobytes()
        self.storage.write(TRAINED, trained)
        job = EncodingJob(self.storage, hashlib.sha256(trained).hexdigest(), dimensions)
        done: dict[int, str] = {}
        with connected(self.options.address, self.options.workers) as machines:
            processes = _processes(machines, self.options)
            for report in each_done(partial(_encoder, job), self.digests.items(), processes):
                if report.error is not None:
                    raise report.error
                done[report.number] = report.sha256
        for number in sorted(done):
            content = _checked(self.storage, encoded_name(number), done[number])
            part = faiss.deserialize_index(np.frombuffer(content, np.uint8))
            yield partial(_merge, part)


def _merge(part: Any, index: Any) -> None:
    faiss_module().merge_into(index, part, True)


def _processes(machines: Machines, options: ClusterOptions) -> Processes:
    return Processes(options.workers or machines.cores, 1, 0)


def _encoder(job: EncodingJob) -> Callable[[tuple[int, str]], Encoded]:
    return partial(_encode, job)


def _encode(job: EncodingJob, named: tuple[int, str]) -> Encoded:
    """Encode the vectors of a shard, and write the index of them."""
    number, digest = named
    try:
        faiss = faiss_module()
        index = faiss.deserialize_index(
            np.frombuffer(_checked(job.storage, TRAINED, job.trained), np.uint8)
        )
        content = job.storage.read(shard_name(number, digest))
        index.add(read_shard(content or b"", digest, job.dimensions).vectors)
        encoded = faiss.serialize_index(index).tobytes()
        job.storage.write(encoded_name(number), encoded)
        return Encoded(number, hashlib.sha256(encoded).hexdigest())
    except RsretrieveError as error:
        return Encoded(number, error=error)
    except (OSError, ValueError) as error:
        return Encoded(number, error=InputError(f"{shard_name(number, digest)}: {error}"))


def _checked(storage: ShardStorage, name: str, sha256: str) -> bytes:
    content = storage.read(name)
    if content is None or hashlib.sha256(content).hexdigest() != sha256:
        raise InputError(
            f"{storage.where}/{name} is not what was written",
            hint="nobody else may write into the folder of the shards; repeat the command",
        )
    return content
