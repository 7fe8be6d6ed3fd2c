"""What tells the tiles of one run of a comparison from those of another: records and images."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from rsretrieve._core.atomic_write import sha256_of_json
from rsretrieve.data.file_state import FileStates
from rsretrieve.data.tile import Tile


@dataclass(frozen=True)
class TileDigest:
    """Digests of what a cell, a test or a labels file was made from.

    Attributes:
        records: of ids, labels and options.
        images: of the images, see `ImageDigests`; empty if they do not count, or are unknown:
            earlier versions did not record them.
    """

    records: str
    images: str = ""

    def is_unchanged(self, now: TileDigest, *, trust_unknown: bool) -> bool:
        """Whether the digest of today is the same.

        Args:
            now: the digest of today.
            trust_unknown: images that were not recorded count as unchanged.
        """
        same_images = self.images == now.images or (trust_unknown and not self.images)
        return self.records == now.records and same_images

    def to_json(self) -> list[str]:
        """The digests as a JSON value."""
        return [self.records, self.images]

    @classmethod
    def from_json(cls, value: Any) -> TileDigest:
        """The digests from a JSON value; a text is what earlier versions wrote.

        Raises:
            TypeError, ValueError: it is something else.
        """
        records, images = (value, "") if isinstance(value, str) else value
        return cls(str(records), str(images))


class ImageDigests:
    """Digests of the images of tiles; each file is read once.

    As in an update of an index, the content of a file and of its sidecars decides, not its name or
    its times: a folder that was moved or copied has the same images. A file that is not local
    counts as unchanged as long as its address is the same.
    """

    def __init__(self) -> None:
        self.files = FileStates(())

    def of(self, tiles: Iterable[Tile]) -> str:
        """The digest of the images of tiles, in their order."""
        return sha256_of_json([self._image(tile) for tile in tiles])

    def _image(self, tile: Tile) -> list[object]:
        window = tile.window
        part = [str(window or ""), None if window is None else window.read_px]
        if not tile.location.local_files:
            return [tile.location.absolute(), *part]
        content = self.files.content(tile.path)
        if content.file:
            return [content.file, content.sidecars, *part]
        state = self.files.state(tile.path)  # it cannot be read, or is just being written
        return [state.size_bytes, state.mtime_ns, *part]
