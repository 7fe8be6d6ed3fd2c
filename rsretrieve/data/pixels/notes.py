"""What a decoder has to say about tiles that it could read: fixed sentences, counted in the end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum


class Note(StrEnum):
    """A remark about a tile. A worker sends its name only: what a file says is never printed."""

    ALPHA_IS_BAND = "alpha-is-band"
    ALPHA_IGNORED = "alpha-ignored"
    INEXACT = "inexact"
    EXTREME = "extreme"
    FILL = "fill"
    PACKED = "packed"
    REPACKED = "repacked"
    UNPACKED = "unpacked"


_SENTENCES: Mapping[Note, str] = {
    Note.ALPHA_IS_BAND: (
        "a band is tagged as alpha but holds many values: it is read as a band, not as transparency"
    ),
    Note.ALPHA_IGNORED: (
        "a band is tagged as alpha but holds many values, and the model has no such band: it is "
        "used neither as a band nor as transparency"
    ),
    Note.INEXACT: "their values are rounded to float32, which keeps seven digits",
    Note.EXTREME: (
        "values that are infinite or beyond ±1e38 are taken as nodata, although the file does not "
        "declare them"
    ),
    Note.FILL: (
        "a value that often stands for nodata (such as -9999) is the extreme of a band, and the "
        "file declares no nodata: it is read as a measurement (declare it, for example with rio "
        "edit-info --nodata)"
    ),
    Note.PACKED: (
        "they declare a scale or an offset, and the model's training tiles declared none: the "
        "values are used as they are stored, so tiles of different offsets are not comparable "
        "(Sentinel-2 before and since processing baseline 04.00)"
    ),
    Note.REPACKED: (
        "their scale or offset differs from those of the model's training tiles: the values were "
        "converted"
    ),
    Note.UNPACKED: (
        "they declare no scale or offset, but the model's training tiles do: the values are used "
        "as they are stored"
    ),
}


_BY_NAME: Mapping[str, Note] = {note.value: note for note in Note}


def known_notes(names: Iterable[object]) -> tuple[Note, ...]:
    """The notes with these names, which come from a worker; unknown ones are left out."""
    return tuple(_BY_NAME[name] for name in names if isinstance(name, str) and name in _BY_NAME)


class NoteCounts:
    """Counts the tiles of each note."""

    def __init__(self) -> None:
        self._tiles: dict[Note, dict[str, None]] = {}

    def add(self, tile_id: str, notes: Iterable[Note]) -> None:
        """Count the notes of a tile, which may be read more than once."""
        for note in notes:
            self._tiles.setdefault(note, {})[tile_id] = None

    def sentences(self) -> tuple[str, ...]:
        """One sentence for every kind of note."""
        return tuple(
            f"{len(tiles):,} tile{'s' * (len(tiles) > 1)} (such as {next(iter(tiles))}): "
            f"{_SENTENCES[note]}"
            for note, tiles in self._tiles.items()
        )
