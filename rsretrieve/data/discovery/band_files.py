"""Scenes whose bands lie in files of their own: found by the files' names, stacked on request.

Known are the names of Sentinel-1, Sentinel-2 (SAFE, BigEarthNet, cloud archives), Landsat and HLS,
and files that are named by a colour or end in `band4`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from rsretrieve._core.paths import Location, stack_path
from rsretrieve._core.text import some_of
from rsretrieve.data.dates.acquisition_time import time_over
from rsretrieve.data.discovery.class_folders import find_class_folders
from rsretrieve.data.discovery.left_out import LeftOut
from rsretrieve.data.discovery.scene_folders import SceneFolder, homes_of
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.errors import TilesNotFound

ALL_BANDS = "all"
_SUFFIXES = (".tif", ".tiff", ".gtiff", ".jp2", ".j2k", ".img", ".png")
_COLOURS = (  # by wavelength
    *("coastal", "blue", "green", "yellow", "red", "rededge", "nir", "swir", "cirrus"),
    *("lwir", "thermal", "pan"),
)
_TOKEN = (
    r"(?:(?:SR|ST|TOA)_)?(?P<band>B8A|B\d{1,2}(?:_VCID_\d)?|band[_-]?\d{1,2}|VV|VH|HH|HV"
    rf"|(?:{'|'.join(_COLOURS)})[_-]?\d{{0,2}})"
)
_AT_END = re.compile(rf"(?:^|(?<=[._-])){_TOKEN}(?:_(?P<metres>\d+)m)?$", re.IGNORECASE)
_IN_SENTINEL1 = re.compile(
    r"^(?P<before>s1[a-d]-\w+-\w+-)(?P<band>vv|vh|hh|hv)(?P<after>-.*)-\d{3}$", re.IGNORECASE
)
_BEFORE_A_NUMBER = ("band", "vcid", "s1", *_COLOURS)
_RESOLUTION_FOLDER = re.compile(r"R\d+m$", re.IGNORECASE)
_INSIDE_A_PRODUCT = ("granule", "measurement")


@dataclass(frozen=True)
class BandFile:
    """What the name of a file tells of it.

    Attributes:
        scene: the path that all bands of the scene share, as the id of their tile.
        lies: the folders that it lies in.
        band: the name of the band, in capitals, without leading zeros.
        metres: the resolution that the name states; infinite without one.
    """

    scene: str
    lies: SceneFolder
    band: str
    metres: float


@dataclass
class _Scene:
    """The tiles that are bands of one scene.

    Attributes:
        name: the file that was found first, as a band.
        bands: the finest file of each band, with its resolution.
        twice: bands of which there are two files of the same resolution.
    """

    name: BandFile
    bands: dict[str, tuple[float, Tile]] = field(default_factory=dict)
    twice: list[str] = field(default_factory=list)

    def add(self, known: BandFile, tile: Tile) -> None:
        found = self.bands.get(known.band)
        if found is not None and found[0] == known.metres:
            self.twice.append(known.band)
        if found is None or known.metres < found[0]:
            self.bands[known.band] = known.metres, tile


def band_file(relative: str) -> BandFile | None:
    """Whether a file is a band of a scene, by its path relative to the folder.

    >>> found = band_file("S2.SAFE/GRANULE/L2A/IMG_DATA/R10m/T32_B02_10m.jp2")
    >>> found.scene, found.band, found.lies.is_product
    ('S2.SAFE/GRANULE/L2A/IMG_DATA/T32', 'B2', True)
    >>> band_file("forest/forest_12.tif")
    """
    stem, dot, suffix = relative.rpartition(".")
    if dot + suffix.lower() not in _SUFFIXES or _is_numbered(stem):
        return None
    *folders, stem = stem.split("/")
    metres = float("inf")
    if found := _IN_SENTINEL1.match(stem):
        prefix = found["before"] + found["after"].lstrip("-")
    elif found := _AT_END.search(stem):
        prefix = stem[: found.start()].rstrip("._-")
        metres = float(found["metres"] or metres)
    else:
        return None
    shared = [folder for folder in folders if not _RESOLUTION_FOLDER.match(folder)]
    scene = "/".join((*shared, prefix) if prefix else shared)
    return BandFile(scene, _lies(shared, prefix), _plain(found["band"]), metres)


def _is_numbered(stem: str) -> bool:
    """Whether a name ends in a separated number, as most tiles' do, that is no part of a band.

    A regular expression alone would take seconds for a list of a million tiles.
    """
    if stem.rstrip("0123456789")[-1:] not in ("_", "-"):
        return False
    lower = stem.lower()
    return not any(part in lower for part in _BEFORE_A_NUMBER)


def _plain(band: str) -> str:
    """One spelling of a band's name."""
    return re.sub(r"^(B|BAND[_-]?)0+(?=\d)", r"\1", band.upper())


def _lies(folders: Sequence[str], prefix: str) -> SceneFolder:
    """The folders that a scene lies in; `prefix` is empty if its folder alone names it."""
    for depth, folder in enumerate(folders):
        if folder.lower().endswith(".safe") or folder.lower() in _INSIDE_A_PRODUCT:
            return SceneFolder(tuple(folders[:depth]), True, False)
    last = folders[-1] if folders else ""
    alike = bool(last) and (prefix.startswith(last) or last.startswith(prefix))
    return SceneFolder(tuple(folders), False, alike)


def band_notices(tiles: TileSet) -> tuple[str, ...]:
    """The notice that tiles are single bands of scenes; none if they are not."""
    scenes = _scenes_of(tiles)
    if not scenes:
        return ()
    count = sum(len(scene.bands) for scene in scenes)
    bands = _in_order({band for scene in scenes for band in scene.bands})
    return (
        f"{tiles.source}: {count} of {len(tiles)} tiles are single bands of "
        f"{_count(len(scenes), 'scene')} (such as {scenes[0].name.scene or tiles.source}), and "
        f"each is taken as a tile of its own; --stack {','.join(bands)} takes the bands of a scene "
        "as one tile",
    )


def stack_bands(tiles: TileSet, wanted: Sequence[str], left_out: LeftOut) -> TileSet:
    """One tile of the bands of every scene, in the given order.

    Args:
        tiles: the files; those that are no bands are left out, which a notice says.
        wanted: the names of the bands; `all` for those that every scene has.
        left_out: records scenes that lack a band.

    Raises:
        TilesNotFound: no scene has these bands.
    """
    every = _all_scenes(tiles)
    scenes = [scene for scene in every if len(scene.bands) > 1]
    if not scenes:
        raise TilesNotFound(
            f"{tiles.source}: no files that are bands of one scene",
            hint="bands are known by the ends of their names, such as _B04.jp2, _SR_B4.TIF or "
            "_red.tif; --stack is for these",
        )
    everywhere = set.intersection(*(set(scene.bands) for scene in scenes))
    somewhere = {band for scene in scenes for band in scene.bands}
    chosen = [_plain(band.strip()) for band in wanted]
    notices: list[str] = []
    takes_all = chosen == [_plain(ALL_BANDS)]
    if takes_all:
        chosen = _in_order(everywhere)
        if lacking := _in_order(somewhere - everywhere):
            notices.append(
                f"{tiles.source}: bands left out that not every scene has: {some_of(lacking, 20)}"
            )
    stacked = []
    for scene in scenes:
        tile, reason = _stacked(scene, chosen, tiles.source)
        if reason:
            left_out.add_item(tile.id, tile.path, reason)
        else:
            stacked.append(tile)
    if not stacked:
        raise TilesNotFound(
            f"{tiles.source}: no scene has the bands {','.join(chosen) or ALL_BANDS}",
            hint=f"the bands found are {', '.join(_in_order(somewhere))}",
        )
    used = f"{_count(len(stacked), 'scene')} of the bands {', '.join(chosen)}"
    others = len(tiles) - sum(len(scene.bands) for scene in scenes)
    rest = f"; {_count(others, 'other file')} left out" if others else ""
    if takes_all or others:
        notices.append(f"{tiles.source}: {used}{rest}")
    stacked, of_classes = _labelled(tiles, stacked, every)
    return replace(tiles.with_notices(*notices, *of_classes), tiles=tuple(stacked))


def _stacked(scene: _Scene, chosen: Sequence[str], source: str) -> tuple[Tile, str]:
    """The tile of a scene; or any of its tiles, and why its bands cannot be stacked."""
    first = next(iter(scene.bands.values()))[1]
    scene_id = scene.name.scene or Location.parse(source).name
    labels = {tile.label for _, tile in scene.bands.values()}
    if missing := [band for band in chosen if band not in scene.bands]:
        return replace(first, id=scene_id), f"lacks the bands {', '.join(missing)}"
    if twice := sorted(set(scene.twice).intersection(chosen)):
        return replace(first, id=scene_id), f"has two files of the bands {', '.join(twice)}"
    if len(labels) > 1:
        return replace(first, id=scene_id), "its bands have different labels"
    parts = [scene.bands[band][1] for band in chosen]
    files = [part.path for part in parts]
    path = stack_path(files) if len(files) > 1 else files[0]
    taken = time_over([part.taken for part in parts if part.taken is not None])
    decisions = {part.confirmed for part in parts}
    confirmed = decisions.pop() if len(decisions) == 1 else None
    whole = replace(first, id=scene_id, path=path, window=None)
    return replace(whole, confirmed=confirmed, taken=taken), ""


def _labelled(
    tiles: TileSet, stacked: list[Tile], scenes: Iterable[_Scene]
) -> tuple[list[Tile], tuple[str, ...]]:
    """Stacked tiles of a folder, with the labels of the folders above the scenes' own; notices."""
    if not tiles.folders or tiles.source not in tiles.folders:
        return stacked, ()  # of a list, which has labels of its own
    homes = homes_of({scene.name.scene: scene.name.lies for scene in scenes})
    names = {
        scene or Location.parse(tiles.source).name: "/".join((*home, "scene"))
        for scene, home in homes.of.items()
    }
    classes = find_class_folders(tiles.source, [names[tile.id] for tile in stacked])
    stacked = [replace(tile, label=classes.label_of(names[tile.id])) for tile in stacked]
    bare = [homes.own[tile.id] for tile in stacked if tile.label is None and tile.id in homes.own]
    return stacked, (*classes.notices, *_notice_of_own_folders(tiles.source, bare))


def _notice_of_own_folders(source: str, folders: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """The notice that folders are no classes because each holds one scene."""
    if not folders:
        return ()
    return (
        f"{source}: {_count(len(folders), 'scene')} without a label: the folder of each (such as "
        f"{'/'.join(folders[0])}) holds this scene alone and is not taken as a class; if it is "
        "one, give --labels",
    )


def _all_scenes(tiles: Iterable[Tile]) -> list[_Scene]:
    """Scenes of any number of bands, sorted by name."""
    scenes: dict[str, _Scene] = {}
    for tile in tiles:
        known = None if tile.window else band_file(tile.id)
        if known is not None:
            scenes.setdefault(known.scene, _Scene(known)).add(known, tile)
    return [scene for _, scene in sorted(scenes.items())]


def _scenes_of(tiles: Iterable[Tile]) -> list[_Scene]:
    """Scenes of at least two bands, sorted by name."""
    return [scene for scene in _all_scenes(tiles) if len(scene.bands) > 1]


def _in_order(bands: Iterable[str]) -> list[str]:
    """Bands by their number, or by their wavelength."""
    return sorted(bands, key=_rank)


def _rank(band: str) -> tuple[int, int, str]:
    letters = re.sub(r"[^A-Z].*", "", band)
    number = re.search(r"\d+", band)
    colour = _COLOURS.index(letters.lower()) if letters.lower() in _COLOURS else -1
    return colour, int(number[0]) if number else 0, band


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
