"""Fit a table of wrong labels to the classes of other tiles than it was made for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rsretrieve._core.text import some_of
from rsretrieve.data.labels.class_names import without_spelling

Transitions = Mapping[str, Mapping[str, float]]


def fitted_transitions(
    transitions: Transitions, class_names: Iterable[str]
) -> tuple[Transitions, tuple[str, ...]]:
    """The rows of a table for some classes, without the wrong classes that are not among them.

    Names of the table that differ from a class only in their spelling count as that class; of
    several rows of one class, that in the spelling of the tiles counts, or else the first. The
    shares that are left of a class are scaled so that they sum to 1. If none is left, all other
    classes get the same share.

    Args:
        transitions: the table.
        class_names: the classes of the tiles.

    Returns:
        The table, and notices of what was changed. A class without a row has none here, either,
        nor has the only class of all tiles.
    """
    names = sorted(set(class_names))
    spelt = {name: name for name in names}
    plain = {without_spelling(name): name for name in names}
    known = transitions.keys() | {to for row in transitions.values() for to in row}
    spelt |= {n: plain[without_spelling(n)] for n in known if without_spelling(n) in plain}
    spelt |= {name: name for name in names}
    fitted: dict[str, dict[str, float]] = {}
    scaled, evenly, ignored = [], [], []
    for source in sorted(transitions, key=lambda source: source not in names):
        if (name := spelt.get(source)) is None or len(names) < 2:
            continue
        if name in fitted:
            ignored.append(source)
            continue
        row = transitions[source]
        kept: dict[str, float] = {}
        for to, share in row.items():
            if (target := spelt.get(to)) is not None and target != name and share > 0:
                kept[target] = kept.get(target, 0.0) + share
        left = sum(kept.values())
        if not kept:
            evenly.append(name)
            kept, left = {other: 1.0 for other in names if other != name}, len(names) - 1.0
        elif left < 1 - 1e-6:
            scaled.append(name)
        fitted[name] = {to: share / left for to, share in kept.items()}
    return fitted, _notices(scaled, evenly, ignored)


def _notices(scaled: list[str], evenly: list[str], ignored: list[str]) -> tuple[str, ...]:
    found = []
    if ignored:
        found.append(
            f"the noise table has several rows for one class in different spellings; "
            f"{len(ignored)} are ignored ({some_of(sorted(ignored))})"
        )
    if scaled:
        found.append(
            f"the noise table names wrong classes that the tiles do not have; the other shares of "
            f"{len(scaled)} classes were scaled to sum to 1 ({some_of(sorted(scaled))})"
        )
    if evenly:
        found.append(
            f"none of the wrong classes that the noise table names for {len(evenly)} classes is "
            f"among the tiles ({some_of(sorted(evenly))}): their wrong labels are drawn evenly "
            "from all other classes"
        )
    return tuple(found)
