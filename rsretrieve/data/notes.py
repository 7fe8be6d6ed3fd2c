"""Remarks about tiles that were read: fixed sentences, each with the number of its tiles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum


class Note(StrEnum):
    """A remark about a tile. A worker sends its name only: what a file says is never printed."""

    ALPHA_IS_BAND = "alpha-is-band"
    ALPHA_IGNORED = "alpha-ignored"
    COLOURS_REORDERED = "colours-reordered"
    INEXACT = "inexact"
    EXTREME = "extreme"
    FILL = "fill"
    PACKED = "packed"
    REPACKED = "repacked"
    UNPACKED = "unpacked"
    SIDECAR_UNREAD = "sidecar-unread"
    NO_CRS = "no-crs"
    NO_TRANSFORM = "no-transform"
    GCPS_WITHOUT_CRS = "gcps-without-crs"
    FEW_GCPS = "few-gcps"
    GCPS_ON_A_LINE = "gcps-on-a-line"
    BY_GCPS = "by-gcps"
    BY_RPCS = "by-rpcs"
    OFF_THE_MAP = "off-the-map"
    OUTSIDE_DOMAIN = "outside-domain"
    NOT_TRANSFORMED = "not-transformed"
    NO_GEOMETRIES = "no-geometries"
    INVALID_GEOMETRY = "invalid-geometry"
    CRS_ASSUMED = "crs-assumed"
    NO_SCENE = "no-scene"
    SCENE_UNREAD = "scene-unread"
    OUTSIDE_SCENE = "outside-scene"

    @property
    def sentence(self) -> str:
        """What is said about the tiles with this note."""
        return _SENTENCES[self]


_NOT_PLACED = "they have no place, because "
_APPROXIMATE = "they are placed only approximately, by "
_SENTENCES: Mapping[Note, str] = {
    Note.ALPHA_IS_BAND: (
        "a band is tagged as alpha but holds many values: it is read as a band, not as transparency"
    ),
    Note.ALPHA_IGNORED: (
        "a band is tagged as alpha but holds many values, and the model has no such band: it is "
        "used neither as a band nor as transparency"
    ),
    Note.COLOURS_REORDERED: (
        "their file declares that its bands are red, green and blue in another order: they are put "
        "in the order red, green, blue (--bands 3,2,1 counts the bands as the file stores them)"
    ),
    Note.INEXACT: "their values are rounded to float32, which keeps seven digits",
    Note.EXTREME: (
        "values that are infinite or beyond ±1e30 are taken as nodata, although the file does not "
        "declare them"
    ),
    Note.FILL: (
        "a value that often stands for nodata (such as -9999) is the extreme of a band, and the "
        "file declares no nodata: it is read as a measurement (declare it, for example with rio "
        "edit-info --nodata)"
    ),
    Note.PACKED: (
        "they declare a scale or an offset, and neither the model's training tiles nor the index "
        "declare one: the values are used as they are stored, so tiles of different offsets are "
        "not comparable (Sentinel-2 before and since processing baseline 04.00)"
    ),
    Note.REPACKED: (
        "their scale or offset differs from those of the model's training tiles, or of the index: "
        "the values were converted"
    ),
    Note.UNPACKED: (
        "they declare no scale or offset, but the model's training tiles, or other tiles of the "
        "index, do: the values are used as they are stored"
    ),
    Note.SIDECAR_UNREAD: (
        "a file beside them is not read, and the place or nodata that it may give is not known: a "
        "link that leads out of its folder, a pipe, or more than 32 MB"
    ),
    Note.NO_CRS: (
        f"{_NOT_PLACED}their georeference has a transform but no coordinate reference system"
    ),
    Note.NO_TRANSFORM: (
        f"{_NOT_PLACED}their georeference has a coordinate reference system but no transform"
    ),
    Note.GCPS_WITHOUT_CRS: (
        f"{_NOT_PLACED}their ground control points have no coordinate reference system"
    ),
    Note.FEW_GCPS: f"{_NOT_PLACED}they have too few ground control points",
    Note.GCPS_ON_A_LINE: f"{_NOT_PLACED}their ground control points lie on a line",
    Note.BY_GCPS: (
        f"{_APPROXIMATE}an affine fit to ground control points, which is off by more than half a "
        "pixel"
    ),
    Note.BY_RPCS: (
        f"{_APPROXIMATE}rational polynomials (RPCs) at their mean height, without terrain"
    ),
    Note.OFF_THE_MAP: f"{_NOT_PLACED}their coordinates are not on any map",
    Note.OUTSIDE_DOMAIN: f"{_NOT_PLACED}they lie outside of the domain of their projection",
    Note.NOT_TRANSFORMED: f"{_NOT_PLACED}PROJ cannot transform their coordinates",
    Note.NO_GEOMETRIES: f"{_NOT_PLACED}their geometry column holds no geometries",
    Note.INVALID_GEOMETRY: f"{_NOT_PLACED}their geometry is empty or invalid",
    Note.NO_SCENE: f"{_NOT_PLACED}their scene does not lie beside the file of embeddings",
    Note.SCENE_UNREAD: f"{_NOT_PLACED}their scene cannot be read",
    Note.OUTSIDE_SCENE: f"{_NOT_PLACED}their window does not lie in their scene",
    Note.CRS_ASSUMED: ("their geometries name no CRS, and are taken for longitude and latitude"),
}


_BY_NAME: Mapping[str, Note] = {note.value: note for note in Note}


def known_notes(names: Iterable[object]) -> tuple[Note, ...]:
    """The notes with these names, which come from a worker; unknown ones are left out."""
    return tuple(_BY_NAME[name] for name in names if isinstance(name, str) and name in _BY_NAME)


MOST_COUNTED = 100_000
"""Ids are kept up to this number for each note: a million would take 100 MB."""


class NoteCounts:
    """Counts the tiles of each note."""

    def __init__(self) -> None:
        self._tiles: dict[Note, dict[str, None]] = {}

    def add(self, tile_id: str, notes: Iterable[Note]) -> None:
        """Count the notes of a tile, which may be read more than once."""
        for note in notes:
            tiles = self._tiles.setdefault(note, {})
            if len(tiles) <= MOST_COUNTED:
                tiles[tile_id] = None

    def sentences(self) -> tuple[str, ...]:
        """One sentence for every kind of note."""
        return tuple(
            f"{_number_of_tiles(len(tiles))} (such as {next(iter(tiles))}): {note.sentence}"
            for note, tiles in self._tiles.items()
        )


def _number_of_tiles(count: int) -> str:
    if count > MOST_COUNTED:
        return f"more than {MOST_COUNTED:,} tiles"
    return f"{count:,} tile{'s' * (count > 1)}"
