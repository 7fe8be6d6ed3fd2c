"""Several folders, lists or scenes as one set of tiles, whose ids stay unique."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rsretrieve._core.paths import Location
from rsretrieve.data.tile import TileSet


def joined(sets: Sequence[TileSet]) -> TileSet:
    """The tiles of all sets, one set after the other.

    A tile that two sets name is taken once. If two sets have different tiles with the same id, the
    ids of these sets begin with the part of their source's path that tells them apart.

    Args:
        sets: at least one; no scene is cut into windows yet.
    """
    if len(sets) == 1:
        return sets[0]
    notices = [notice for found in sets for notice in found.notices]
    count = sum(map(len, sets))
    sets = _each_tile_once(sets)
    if repeated := count - sum(map(len, sets)):
        notices.append(
            f"{repeated} tiles are named by several of the given sources; the first one "
            "decides on their ids and labels"
        )
    names = _prefixes(sets)
    if any(names):
        notices.append(
            "the given sources hold different tiles with the same ids; the ids of their "
            f"tiles begin with {', '.join(f'{name}/' for name in names if name)}"
        )
    sets = [_prefixed(found, name) if name else found for found, name in zip(sets, names)]
    return TileSet(
        ", ".join(found.source for found in sets),
        tuple(tile for found in sets for tile in found),
        (*notices, *_notice_of_classes(sets)),
        unseen=tuple(beginning for found in sets for beginning in found.unseen),
        folders=tuple(dict.fromkeys(folder for found in sets for folder in found.folders)),
        labels_file=next((found.labels_file for found in sets if found.labels_file), None),
    )


def _each_tile_once(sets: Sequence[TileSet]) -> list[TileSet]:
    known: set[tuple[str, str]] = set()
    kept = []
    for found in sets:
        keys = [(tile.location.absolute(), str(tile.window)) for tile in found]
        kept.append(found.select([i for i, key in enumerate(keys) if key not in known]))
        known.update(keys)
    return kept


def _prefixes(sets: Sequence[TileSet]) -> list[str]:
    """What the ids of each set begin with; empty where none of its ids occurs in another set."""
    seen = Counter(tile.id for found in sets for tile in found)
    clashes = [any(seen[tile.id] > 1 for tile in found) for found in sets]
    names = [""] * len(sets)
    if not any(clashes):
        return names
    places = _distinct_places([found.source for found in sets])
    for length in range(1, max(map(len, places)) + 1):
        ends = [place[-length:] for place in places]
        names = ["/".join(end) if clash else "" for end, clash in zip(ends, clashes)]
        if len({*ends}) == len(ends) and _are_unique(sets, names):
            break
    return names


def _are_unique(sets: Sequence[TileSet], names: Sequence[str]) -> bool:
    """Whether no tile of a set gets the id of another one."""
    ids = {
        f"{name}/{tile.id}" if name else tile.id
        for found, name in zip(sets, names)
        for tile in found
    }
    return len(ids) == sum(map(len, sets))


def _distinct_places(sources: Sequence[str]) -> list[tuple[str, ...]]:
    """The parts of each source's path, as few as tell all apart: folders, names, or numbers."""
    places = [_parts(source) for source in sources]
    for naming in (_stem, _name):
        shared = Counter(places)
        if len(shared) == len(places):
            return places
        ends = [naming(source) for source in sources]
        named = [
            (*place, end) if end and shared[place] > 1 else place
            for place, end in zip(places, ends)
        ]
        places = named if len({*named}) == len(named) or naming is _name else places
    shared = Counter(places)
    return [
        place if shared[place] == 1 else (*place, str(number))
        for number, place in enumerate(places, 1)
    ]


def _name(source: str) -> str:
    """The name of a list or a scene; empty for a folder."""
    location = Location.parse(source)
    return "" if location.is_local and Path(source).is_dir() else location.name


def _stem(source: str) -> str:
    return Path(_name(source)).stem


def _parts(source: str) -> tuple[str, ...]:
    """The folders that tell sources apart: of a folder its path, of a file that of its folder."""
    location = Location.parse(source)
    if not location.is_local:
        parts = tuple(part for part in source.split("/") if part)
        return parts[:-1] or parts
    path = Path(location.absolute())
    parts = path.parts[1:] if path.is_dir() else (*path.parts[1:-1],)
    return parts or path.parts


def _prefixed(found: TileSet, name: str) -> TileSet:
    tiles = tuple(replace(tile, id=f"{name}/{tile.id}") for tile in found)
    unseen = tuple(f"{name}/{beginning}" for beginning in found.unseen)
    return replace(found, tiles=tiles, unseen=unseen)


def _notice_of_classes(sets: Sequence[TileSet]) -> tuple[str, ...]:
    """The notice that folders which were given one by one are no classes."""
    places = [Path(found.source) for found in sets if found.source in found.folders]
    homes = {place.absolute().parent for place in places}
    labelled = any(tile.label is not None for found in sets for tile in found)
    if labelled or len(places) < len(sets) or len(homes) != 1:
        return ()
    return (
        "the folders that you gave are not taken as classes: only their sub-folders are; give "
        f"{places[0].parent} to take them as classes",
    )
