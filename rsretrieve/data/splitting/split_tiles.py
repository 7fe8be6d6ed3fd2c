"""Split tiles into lists: class by class, by scenes, or by places on the ground."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from rsretrieve.data.labels.splits import check_fractions, split_per_class
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.splitting.allotment import LEFT_OUT, OPEN, Allotment
from rsretrieve.data.splitting.blocks import BlockCut, kd_blocks, levels_for
from rsretrieve.data.splitting.close_tiles import CloseTiles, files_of
from rsretrieve.data.splitting.footprint_shapes import plane_positions
from rsretrieve.data.splitting.header_places import NOWHERE, Located, locate
from rsretrieve.data.splitting.joined_groups import Rows, grouped_by
from rsretrieve.data.splitting.split_notices import SplitReport
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.data.window import split_window
from rsretrieve.errors import InputError, InvalidArgument

PARTS = ("train", "val", "test")
MOST_BUFFER_M = 1_000_000.0
_ITEMS = (".json/", ".geojson/")  # in the id of an item's asset, see `discovery.stac`
_MISSED = 0.02  # by how much a fraction may be missed before a group is cut
_LEAST_LEVELS = 2
_MOST_CUTS = 50
_MOST_LEFT_OUT = 0.5  # of a group that is cut


@dataclass(frozen=True)
class SplitChoices:
    """How tiles are split.

    Attributes:
        fractions: the share of each list, positive, summing to at most 1.
        seed: any integer.
        by_scene: all tiles of one file, or of one STAC item, go to one list.
        by_place: tiles that overlap on the ground, or are close, go to one list.
        buffer_m: how close that is, in metres on the ground; 0: only tiles that overlap.
        names: of the lists, for messages.
    """

    fractions: Sequence[float]
    seed: int = 0
    by_scene: bool = False
    by_place: bool = False
    buffer_m: float = 0.0
    names: Sequence[str] = PARTS

    def __post_init__(self) -> None:
        check_fractions(self.fractions)
        if not (isfinite(self.buffer_m) and 0 <= self.buffer_m <= MOST_BUFFER_M):
            raise InvalidArgument(
                f"--buffer-m must be in 0…{MOST_BUFFER_M:.0f} m, not {self.buffer_m}"
            )
        if self.buffer_m and not self.by_place:
            raise InvalidArgument("--buffer-m needs --by-place")


@dataclass(frozen=True)
class Split:
    """Tiles that were split.

    Attributes:
        parts: a `TileSet` for each list, each in the order of the tiles.
        left_out: tiles at the borders of blocks, which are in no list.
        names: of the lists.
        groups: how many groups of tiles had to stay together; None for a split by class.
        rest: how many other tiles are in no list, because the fractions sum to less than 1.
    """

    parts: tuple[TileSet, ...]
    left_out: TileSet
    names: Sequence[str] = PARTS
    groups: int | None = None
    rest: int = 0

    @property
    def fractions(self) -> tuple[float, ...]:
        """The share of each list of all tiles but those left out."""
        total = max(sum(map(len, self.parts)) + self.rest, 1)
        return tuple(len(part) / total for part in self.parts)


def split_tiles(tiles: TileSet, choices: SplitChoices, context: RunContext) -> Split:
    """Split tiles into lists.

    Args:
        tiles: the tiles.
        choices: the fractions, and which tiles must stay together.
        context: receives progress, what could not be met, and files that cannot be opened.

    Returns:
        The lists. Tiles whose file cannot be opened are in none if places are needed.

    Raises:
        InputError: the split is by place, and no tile has a place.
        TileError: a file cannot be opened, and the context is strict.
    """
    # Ties are broken by the row: the order in which the tiles were given must not decide.
    order = sorted(range(len(tiles)), key=lambda row: tiles[row].id)
    found = _split_sorted(tiles.select(order), choices, context)
    row_of = {tiles[row].id: row for row in order}

    def as_given(part: TileSet) -> TileSet:
        return tiles.select(sorted(row_of[tile.id] for tile in part))

    left_out = as_given(found.left_out)
    return replace(found, parts=tuple(map(as_given, found.parts)), left_out=left_out)


def _split_sorted(tiles: TileSet, choices: SplitChoices, context: RunContext) -> Split:
    """Split tiles that are sorted by id."""
    if not (choices.by_scene or choices.by_place):
        parts = split_per_class(tiles, choices.fractions, choices.seed, even=True)
        report = SplitReport(tiles, choices.names, context)
        report.of_windows(parts)
        report.of_empty_lists(parts)
        rest = len(tiles) - sum(map(len, parts))
        return Split(tuple(parts), tiles.select([]), choices.names, rest=rest)
    located: Sequence[Located | None] = [NOWHERE] * len(tiles)
    if choices.by_place:
        located = locate(tiles, context)
    kept = [row for row, one in enumerate(located) if one is not None]
    return _Splitting(
        tiles.select(kept), [one for one in located if one is not None], choices, context
    ).split()


@dataclass
class _Splitting:
    """A split of tiles that partly stay together.

    Attributes:
        tiles: N tiles.
        located: N places.
        choices: how they are split.
        context: receives notices.
    """

    tiles: TileSet
    located: Sequence[Located]
    choices: SplitChoices
    context: RunContext
    close: CloseTiles = field(init=False)
    report: SplitReport = field(init=False)

    def __post_init__(self) -> None:
        self.close = CloseTiles(self.tiles.tiles, self.located, self.choices.buffer_m)
        self.report = SplitReport(self.tiles, self.choices.names, self.context)

    def split(self) -> Split:
        """The lists, with what is said about them."""
        groups = self._groups()
        rest = 1 - sum(self.choices.fractions)
        fractions = [*self.choices.fractions, *([rest] if rest > 1e-9 else [])]
        names = {name: i for i, name in enumerate(sorted({t.label or "" for t in self.tiles}))}
        allotment = Allotment(
            [tile.id for tile in self.tiles],
            np.array([names[tile.label or ""] for tile in self.tiles], np.int64),
            np.array(fractions) / sum(fractions),
            self.choices.seed,
        )
        parts = allotment.whole_groups(groups, np.full(len(self.tiles), OPEN))
        if self.choices.by_place and not self.choices.by_scene:
            parts = self._with_cuts(groups, parts, allotment)
        self.report.of_fractions(self.choices.fractions, groups, parts)
        self.report.of_classes(allotment, parts, len(self.choices.fractions))
        lists = (np.flatnonzero(parts == part) for part in range(len(self.choices.fractions)))
        return Split(
            tuple(self.tiles.select(rows.tolist()) for rows in lists),
            self.tiles.select(np.flatnonzero(parts == LEFT_OUT).tolist()),
            self.choices.names,
            len(np.unique(groups)),
            int((parts == len(self.choices.fractions)).sum()),
        )

    def _groups(self) -> Rows:
        """(N,) the group of each tile, by its lowest row."""
        groups = np.arange(len(self.tiles))
        if self.choices.by_scene:
            groups = grouped_by(files_of(self.tiles.tiles), groups)
            groups = grouped_by(map(item_of, self.tiles), groups)
            self.report.of_scenes(groups)
        if not self.choices.by_place:
            return groups
        unplaced = [one.place is None for one in self.located]
        if all(unplaced):
            raise InputError(
                f"{self.tiles.source}: no tile has a place, which --by-place needs",
                hint="--by-scene keeps the tiles of one file together",
            )
        files = files_of(self.tiles.tiles)
        keys = (file if lacks else None for file, lacks in zip(files, unplaced))
        groups = grouped_by(keys, groups)
        self.report.of_unplaced(sum(unplaced), self.choices.buffer_m)
        self.context.start_stage("finding tiles that are close to each other")
        return self.close.joined(groups)

    def _with_cuts(self, groups: Rows, parts: Rows, allotment: Allotment) -> Rows:
        """Cut the largest groups into blocks, as long as fractions are missed by too much."""
        sizes, fixed = np.bincount(groups), np.full(len(groups), OPEN)
        best, missed, cuts = parts, _missed(parts, allotment.fractions), 0
        for group in np.argsort(-sizes, kind="stable")[:_MOST_CUTS].tolist():
            if missed <= _MISSED or levels_for(int(sizes[group])) < _LEAST_LEVELS:
                break
            rows = np.flatnonzero(groups == group)
            found = self._cut(rows, allotment)
            if found is None:
                continue
            fixed[rows], cuts = found, cuts + 1
            parts = allotment.whole_groups(groups, fixed)
            if (now := _missed(parts, allotment.fractions)) < missed:
                best, missed = parts, now
                self.report.cuts = cuts
        self.report.of_cuts(int((best == LEFT_OUT).sum()))
        return best

    def _cut(self, rows: Rows, allotment: Allotment) -> Rows | None:
        """The parts of the tiles of one group, cut into blocks; None if it cannot be cut."""
        places = [self.located[row].place for row in rows.tolist()]
        centres = [place.centre for place in places if place is not None]
        if len(centres) < len(rows):
            return None
        self.context.start_stage("cutting tiles that overlap into blocks", len(rows))
        levels = levels_for(len(rows))
        blocks = kd_blocks(plane_positions(np.array(centres).T), levels)
        of_all = np.full(len(self.tiles), LEFT_OUT)
        of_all[rows] = blocks
        pairs = list(self.close.between(of_all, rows))
        at = np.zeros(len(self.tiles), np.int64)
        at[rows] = np.arange(len(rows))
        ones, others = (np.concatenate([at[p[i]] for p in pairs]) for i in (0, 1))
        own = Allotment(
            [allotment.ids[row] for row in rows.tolist()],
            np.unique(allotment.classes[rows], return_inverse=True)[1],
            allotment.fractions,
            allotment.seed,
        )
        rest = (
            len(self.choices.fractions)
            if len(own.fractions) > len(self.choices.fractions)
            else None
        )
        found = BlockCut(own, blocks, levels, ones, others).parts(rest)
        return found if (found == LEFT_OUT).mean() <= _MOST_LEFT_OUT else None


def _missed(parts: Rows, fractions: NDArray[np.float64]) -> float:
    """By how much the most missed fraction is missed."""
    counts = np.bincount(parts[parts >= 0], minlength=len(fractions))
    return float(np.abs(counts / max(counts.sum(), 1) - fractions).max())


def item_of(tile: Tile) -> str | None:
    """The STAC item of a tile, from its id: all but the asset; None for what is no asset.

    >>> item_of(Tile("2024/item.json/visual#0,0,64,64", "visual.tif"))
    '2024/item.json'
    """
    name = split_window(tile.id)[0]
    return name.rpartition("/")[0] if any(mark in name.lower() for mark in _ITEMS) else None
