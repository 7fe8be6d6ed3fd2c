"""Refuse PNG files that are cut off or damaged: decoders return wrong pixels without an error."""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import BinaryIO

from rsretrieve.errors import TileError

SIGNATURE_BYTES = 8
_BLOCK_BYTES = 1 << 20
_LAST = b"IEND"


def require_whole_png(tile_id: str, path: str | Path) -> None:
    """Check the chunks of a PNG that its pixels depend on, by their checksums.

    Args:
        tile_id: for the error.
        path: a PNG file.

    Raises:
        OSError: it cannot be read.
        TileError: it is cut off or damaged.
    """
    with Path(path).open("rb") as stream:
        stream.seek(SIGNATURE_BYTES)
        while (name := _checked(stream)) != _LAST:
            if name is None:
                trouble = f"the PNG chunk before byte {stream.tell()} is damaged"
                if not stream.read(1):
                    trouble = "image file is truncated"
                raise TileError(tile_id, f"cannot be decoded: {trouble}")


def next_name(stream: BinaryIO) -> bytes:
    """The name of the chunk at which a stream stands, which then stands at the next; or nothing."""
    head = stream.read(8)
    if len(head) < 8:
        return b""
    stream.seek(int.from_bytes(head[:4], "big") + 4, os.SEEK_CUR)
    return head[4:]


def _checked(stream: BinaryIO) -> bytes | None:
    """The name of the next chunk; None if it is not whole.

    The first letter of a chunk that pixels depend on is a capital (PNG specification, 5.4).
    """
    head = stream.read(8)
    length, name = int.from_bytes(head[:4], "big"), head[4:]
    if len(name) < 4 or not name.isalpha():
        return None
    found = zlib.crc32(name)
    while length > 0 and (block := stream.read(min(length, _BLOCK_BYTES))):
        found, length = zlib.crc32(block, found), length - len(block)
    told = stream.read(4)
    if length or len(told) < 4:
        return None
    is_right = int.from_bytes(told, "big") == found
    return name if is_right or name[:1].islower() else None
