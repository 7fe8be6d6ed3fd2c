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
    places = [_parts(found.source) for found in sets]
    length = 1
    while len({place[-length:] for place in places}) < len(places) and length < 99:
        length += 1
    return ["/".join(place[-length:]) if clash else "" for place, clash in zip(places, clashes)]


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
