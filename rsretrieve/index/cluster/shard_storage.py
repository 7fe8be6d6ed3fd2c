"""Where shards and copies of an index lie: in a folder, or in an object store such as S3."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, TypeVar

from rsretrieve._core.atomic_write import written_aside
from rsretrieve._core.regular_files import open_regular
from rsretrieve.errors import InputError, InvalidArgument, OutputExists

T = TypeVar("T")

BUCKET_START = "s3://"
ENDPOINT = "AWS_ENDPOINT_URL"
_TRIES = 7
_FIRST_DELAY_S, _LONGEST_DELAY_S = 0.2, 10.0
_PERMANENT = re.compile(
    r"ACCESS_DENIED|NO_SUCH_BUCKET|INVALID_ACCESS_KEY|SIGNATURE|HTTP status 403"
)


class ShardStorage(Protocol):
    """Keeps files under flat names."""

    @property
    def where(self) -> str:
        """The folder or address, for messages."""

    def read(self, name: str) -> bytes | None:
        """The content of a file; None if there is no such file."""

    def size(self, name: str) -> int | None:
        """The size of a file in bytes; None if there is no such file."""

    def names(self) -> list[str]:
        """The names of all files."""

    def write(self, name: str, content: bytes) -> None:
        """Write a file, whole or not at all, and check what was written."""


def storage_at(where: str) -> ShardStorage:
    """The storage at a folder or an address.

    Raises:
        InvalidArgument: the address is of another kind, or holds credentials.
    """
    if where.startswith(BUCKET_START):
        return BucketStorage(where.rstrip("/"))
    if "://" in where:
        raise InvalidArgument(
            f"files cannot be stored at {where.partition('://')[0]}://",
            hint="give a folder, or s3://BUCKET/NAME; other stores offer S3's interface at the "
            f"address in {ENDPOINT}",
        )
    return FolderStorage(Path(where).absolute())


@dataclass(frozen=True)
class FolderStorage:
    """Files in a folder that all machines of the cluster share.

    Attributes:
        folder: the folder, which is made if it does not exist.
    """

    folder: Path

    @property
    def where(self) -> str:
        """The folder."""
        return str(self.folder)

    def read(self, name: str) -> bytes | None:
        """See `ShardStorage`."""
        try:
            with open_regular(self.folder / name) as stream:
                return stream.read()
        except FileNotFoundError:
            return None

    def size(self, name: str) -> int | None:
        """See `ShardStorage`."""
        path = self.folder / name
        return path.stat().st_size if path.is_file() else None

    def write(self, name: str, content: bytes) -> None:
        """See `ShardStorage`.

        Raises:
            OSError: the disk is full, or what was written cannot be read.
        """
        with written_aside(self.folder / name, overwrite=True, follow=False) as aside:
            aside.write_bytes(content)
            if _sha256(aside.read_bytes()) != _sha256(content):
                raise OSError(errno.EIO, "what was written is not what is read", str(aside))

    def names(self) -> list[str]:
        """See `ShardStorage`.

        Raises:
            OutputExists: there is a file in place of the folder.
        """
        if not os.path.lexists(self.folder):
            return []
        if not self.folder.is_dir():
            raise OutputExists(f"{self.folder} is a file, not a folder", hint="give another folder")
        return [path.name for path in self.folder.iterdir()]


@dataclass(frozen=True)
class BucketStorage:
    """Objects in a bucket of S3, or of a store with its interface.

    The endpoint and the credentials come from the environment of each machine
    (`AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID` …), and are written nowhere.

    Attributes:
        address: `s3://BUCKET/NAME`.
        limit_s: how long one request may wait for the next bytes.
    """

    address: str
    limit_s: float = 60.0

    def __post_init__(self) -> None:
        rest = self.address.removeprefix(BUCKET_START)
        if "@" in rest or "?" in rest:
            raise InvalidArgument(
                "the address of a store holds no credentials and no options",
                hint=f"give s3://BUCKET/NAME; credentials and {ENDPOINT} come from the environment",
            )
        if not all(rest.partition("/")[::2]):
            raise InvalidArgument(f"{self.address} names no folder in a bucket: s3://BUCKET/NAME")

    @property
    def where(self) -> str:
        """The address."""
        return self.address

    def read(self, name: str) -> bytes | None:
        """See `ShardStorage`. An answer of another length than the object's is asked for again.

        Raises:
            InputError: the store does not answer, or refuses.
        """
        return self._repeated(f"read {name}", lambda: self._read_once(name))

    def size(self, name: str) -> int | None:
        """See `ShardStorage`.

        Raises:
            InputError: the store does not answer, or refuses.
        """
        return self._repeated(f"find {name}", lambda: self._size_once(name))

    def write(self, name: str, content: bytes) -> None:
        """See `ShardStorage`. What was written is read again and compared.

        Raises:
            InputError: the store does not answer, or refuses.
        """
        self._repeated(f"write {name}", lambda: self._write_once(name, content))

    def names(self) -> list[str]:
        """See `ShardStorage`.

        Raises:
            InputError: the store does not answer, or refuses.
        """
        return self._repeated("list the files", self._names_once)

    def _names_once(self) -> list[str]:
        from pyarrow import fs

        selector = fs.FileSelector(self._at(""), allow_not_found=True)
        return [found.base_name for found in self._system.get_file_info(selector)]

    def _size_once(self, name: str) -> int | None:
        from pyarrow import fs

        found = self._system.get_file_info(self._at(name))
        return None if found.type == fs.FileType.NotFound else int(found.size)

    def _read_once(self, name: str) -> bytes | None:
        size = self._size_once(name)
        if size is None:
            return None
        with self._system.open_input_file(self._at(name)) as stream:
            content: bytes = stream.read()
        if len(content) != size:
            raise OSError(errno.EIO, f"{len(content)} of {size} bytes came")
        return content

    def _write_once(self, name: str, content: bytes) -> None:
        with self._system.open_output_stream(self._at(name)) as stream:
            stream.write(content)
        stored = self._read_once(name)
        if stored is None or _sha256(stored) != _sha256(content):
            raise OSError(errno.EIO, "what was written is not what is read")

    def _at(self, name: str) -> str:
        return f"{self.address.removeprefix(BUCKET_START)}/{name}".rstrip("/")

    @cached_property
    def _system(self) -> Any:
        from pyarrow import fs

        endpoint = os.environ.get(ENDPOINT) or None
        return fs.S3FileSystem(
            endpoint_override=endpoint,
            region=os.environ.get("AWS_REGION", os.environ.get("AWS_DEFAULT_REGION", "us-east-1")),
            connect_timeout=min(10.0, self.limit_s),
            request_timeout=self.limit_s,
            # The delays between attempts are ours: a store that is down for seconds comes back.
            retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=2),
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return BucketStorage, (self.address, self.limit_s)  # not the open connection

    def _repeated(self, what: str, work: Callable[[], T]) -> T:
        """Repeat a request that failed, with growing delays."""
        for attempt in range(_TRIES):
            try:
                return work()
            except OSError as error:
                last = error
                if _PERMANENT.search(str(error)):
                    break
            if attempt + 1 < _TRIES:
                time.sleep(min(_LONGEST_DELAY_S, _FIRST_DELAY_S * 2**attempt))
        reason = str(last).partition(" Detail:")[0]
        raise InputError(
            f"{self.address}: cannot {what} ({reason})",
            hint="check the bucket, the credentials in the environment, and "
            f"{ENDPOINT} if the store is not Amazon's; what is written is kept",
        ) from last


def _sha256(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()
