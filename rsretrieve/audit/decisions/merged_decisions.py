"""Merge the decisions of several reviewers; where they differ, nothing is decided."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from rsretrieve.audit.decisions.saved_decisions import (
    Decision,
    DecisionsFile,
    Disagreement,
    LabelsOrigin,
    read_decisions,
)
from rsretrieve.data.labels.confirmed import Rule
from rsretrieve.data.labels.labels import plain_name
from rsretrieve.errors import LabelsError


def read_merged_decisions(paths: Sequence[Path]) -> DecisionsFile:
    """Read the decisions of one or several reviewers.

    Args:
        paths: one file or more, each as `read_decisions` takes it.

    Returns:
        The decisions, at most one per tile. A tile that somebody skipped and somebody else
        decided on is decided. If two files give a tile different labels, neither counts: the
        tile is in `disagreements`. Files may spell the id of a tile in different ways, see
        `plain_name`; the first spelling is kept.

    Raises:
        TableError, LabelsError: see `read_decisions`; or the files were made on different labels.
    """
    files = [read_decisions(path) for path in paths]
    if len(files) == 1:
        return files[0]
    merged = [_merged(made[0][1].tile_id, made) for made in _by_tile(files)]
    return DecisionsFile(
        files[0].path,
        tuple(each for each in merged if isinstance(each, Decision)),
        _common_origin(files),
        any(file.is_from_page for file in files),
        sum(file.undecided for file in files),
        others=tuple(file.path for file in files[1:]),
        disagreements=tuple(each for each in merged if isinstance(each, Disagreement)),
        notices=tuple(notice for file in files for notice in file.notices),
    )


def _by_tile(files: Sequence[DecisionsFile]) -> Iterator[list[tuple[Path, Decision]]]:
    """The decisions on each tile, at most one of a file.

    Names of one file that differ only in their spelling are different tiles, or else an error
    when the decisions are applied: they are not merged here.
    """
    spelt = [_plain_names(file) for file in files]
    repeated = {plain for names in spelt for plain, count in names.items() if count > 1}
    by_tile: dict[str, list[tuple[Path, Decision]]] = {}
    for file in files:
        for decision in file.decisions:
            plain = plain_name(decision.tile_id)
            name = decision.tile_id if plain in repeated else plain
            by_tile.setdefault(name, []).append((file.path, decision))
    yield from by_tile.values()


def _plain_names(file: DecisionsFile) -> Counter[str]:
    return Counter(plain_name(decision.tile_id) for decision in file.decisions)


def _merged(tile_id: str, made: Sequence[tuple[Path, Decision]]) -> Decision | Disagreement:
    decided = [(path, each) for path, each in made if each.rule is not Rule.SKIP]
    if not decided:
        return made[0][1]
    decisions = [each for _, each in decided]
    if len({each.label for each in decisions}) > 1:
        return Disagreement(tile_id, tuple(path for path, _ in decided), tuple(decisions))
    seen = [each.given_label for each in decisions if each.given_label is not None]
    return replace(
        decisions[0],
        by="; ".join(_once(each.by for each in decisions if each.by)),
        given_label=seen[0] if seen else None,
    )


def _once(names: Iterable[str]) -> list[str]:
    return [*dict.fromkeys(names)]


def _common_origin(files: Sequence[DecisionsFile]) -> LabelsOrigin | None:
    """The labels that all files were made on, as far as they say.

    Raises:
        LabelsError: they differ.
    """
    known = [file for file in files if file.origin is not None]
    for file in known[1:]:
        if file.origin is not None and known[0].origin is not None:
            _require_same(known[0], known[0].origin, file, file.origin)
    return known[0].origin if known else None


def _require_same(
    first: DecisionsFile, one: LabelsOrigin, second: DecisionsFile, other: LabelsOrigin
) -> None:
    if one.digest != other.digest:
        raise LabelsError(
            f"the decisions of {second.path} were made on other labels than those of {first.path} "
            f"({other.file or 'the names of folders'}, not {one.file or 'the names of folders'})",
            hint="merge decisions that were made on pages with the same labels",
        )
