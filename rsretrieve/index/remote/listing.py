"""`index.json` of a copy in an object store: the files of an index, and their blocks.

A block is an object of at most 64 MiB, named by its SHA-256. A copy that was interrupted goes on
with the blocks that are missing, and blocks that two versions of an index share are stored once.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import Any

from rsretrieve._core.atomic_write import sha256_of_json
from rsretrieve._core.sealing import parsed
from rsretrieve.errors import IndexDamaged
from rsretrieve.index.store.manifest import (
    CONFIG_FILE,
    DATA_FILES,
    MANIFEST_FILE,
    SKIPPED_FILE,
    STORED_MODEL,
)

LISTING = "index.json"
BLOCK_BYTES = 1 << 26
SCHEMA_VERSION = 1
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MODEL_FILE = re.compile(rf"{STORED_MODEL}/[A-Za-z0-9][A-Za-z0-9._-]{{0,99}}")
_NAMES = {MANIFEST_FILE, *DATA_FILES, SKIPPED_FILE, CONFIG_FILE}
_MOST_BYTES = 1 << 50


@dataclass(frozen=True)
class CopiedFile:
    """A file of an index.

    Attributes:
        name: its path in the index folder, with `/`.
        size: in bytes.
        blocks: the SHA-256 of each block, hexadecimal, in order.
    """

    name: str
    size: int
    blocks: tuple[str, ...]

    def block_sizes(self) -> list[int]:
        """The size of each block in bytes."""
        full, rest = divmod(self.size, BLOCK_BYTES)
        return [BLOCK_BYTES] * full + [rest] * bool(rest)


@dataclass(frozen=True)
class Listing:
    """The files of one copy of an index.

    Attributes:
        files: every file of the index.
    """

    files: tuple[CopiedFile, ...]

    @property
    def size(self) -> int:
        """The size of all files in bytes."""
        return sum(file.size for file in self.files)

    def to_bytes(self) -> bytes:
        """As JSON that holds a digest of its own content."""
        content = {
            "schema_version": SCHEMA_VERSION,
            "block_bytes": BLOCK_BYTES,
            "files": [asdict(file) for file in self.files],
        }
        plain = json.loads(json.dumps(content))
        return json.dumps({**plain, "digest": sha256_of_json(plain)}).encode()

    @classmethod
    def from_bytes(cls, text: bytes, where: str) -> Listing:
        """Read what `to_bytes` wrote. Whoever can write into the store may have changed it.

        Args:
            text: the content of `index.json`.
            where: the address, for messages.

        Returns:
            The listing. Its names are those of files that an index has.

        Raises:
            IndexDamaged: it was changed, names another file, or comes from a newer version.
        """
        try:
            content = parsed(text.decode())
            if content["schema_version"] > SCHEMA_VERSION:
                raise IndexDamaged(
                    f"{where}/{LISTING} was written by a newer rsretrieve",
                    hint="pip install --upgrade rsretrieve",
                )
            if content.pop("digest") != sha256_of_json(content):
                raise ValueError("its digest differs")
            return cls(_files_of(content))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise IndexDamaged(
                f"{where}/{LISTING} cannot be read ({error})",
                hint="copy the index to the store again",
            ) from error


def _files_of(content: dict[str, Any]) -> tuple[CopiedFile, ...]:
    if content["block_bytes"] != BLOCK_BYTES:
        raise ValueError(f"its blocks do not have {BLOCK_BYTES} bytes")
    files = tuple(_file_of(**entry) for entry in content["files"])
    names = [file.name for file in files]
    if len(set(names)) < len(names) or not {MANIFEST_FILE, *DATA_FILES} <= set(names):
        raise ValueError("it does not name each file of an index once")
    return files


def _file_of(name: str, size: int, blocks: list[str]) -> CopiedFile:
    if name not in _NAMES and not _MODEL_FILE.fullmatch(name):
        raise ValueError(f"{name!r} is no file of an index")
    if type(size) is not int or not 0 <= size <= _MOST_BYTES:
        raise ValueError(f"{name} has no possible size")
    file = CopiedFile(name, size, tuple(blocks))
    if len(blocks) != -(-size // BLOCK_BYTES) or not all(map(_SHA256.fullmatch, blocks)):
        raise ValueError(f"{name} has other blocks than its size needs")
    return file


def is_listing(text: bytes) -> bool:
    """Whether a text is a listing, damaged or not, and not another program's `index.json`."""
    return b'"block_bytes":' in text and b'"schema_version":' in text


def block_name(sha256: str) -> str:
    """The name of the object that holds a block."""
    return f"block-{sha256}"
