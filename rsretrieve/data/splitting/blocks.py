"""Cut tiles that all overlap one another, directly or not, into contiguous blocks.

Blocks of different parts are kept apart: a tile of the one that is close to a tile of the other is
left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rsretrieve.data.splitting.allotment import LEFT_OUT, Allotment
from rsretrieve.data.splitting.joined_groups import Rows

_MOST_LEVELS, _FEWEST_TILES = 6, 4  # 64 blocks, each of so many tiles
_FIRST_LEVEL = 3
_STARTS = 4
_LOST, _EMPTY = 1.0, 1.0  # in the score: a tile left out, a part without tiles

Positions = NDArray[np.float64]


def kd_blocks(positions: Positions, levels: int) -> Rows:
    """The blocks of points: halved along the longer axis, `levels` times.

    Args:
        positions: (n, d) coordinates.
        levels: how often; the blocks of fewer levels are the numbers without their last bits.

    Returns:
        (n,) 0…2^levels − 1.
    """
    blocks = np.zeros(len(positions), np.int64)
    for _ in range(levels):
        blocks *= 2
        for block in np.unique(blocks):
            rows = np.flatnonzero(blocks == block)
            axis = int(np.ptp(positions[rows], axis=0).argmax())
            blocks[rows[np.argsort(positions[rows, axis], kind="stable")[len(rows) // 2 :]]] += 1
    return blocks


def levels_for(count: int) -> int:
    """How often so many tiles are halved."""
    return int(np.clip(np.log2(max(count / _FEWEST_TILES, 1)), 0, _MOST_LEVELS))


@dataclass(frozen=True)
class BlockCut:
    """Tiles, cut into blocks.

    Attributes:
        allotment: the n tiles.
        blocks: (n,) the finest blocks.
        levels: of the finest blocks.
        ones, others: (P,) the close tiles of two different blocks.
    """

    allotment: Allotment
    blocks: Rows
    levels: int
    ones: Rows
    others: Rows

    def parts(self, rest: int | None) -> Rows:
        """Allot the blocks to parts.

        Args:
            rest: a part that is no list: nothing is kept apart from it. None: there is none.

        Returns:
            (n,) the part of each tile, or `LEFT_OUT`.
        """
        found = (
            search.best_from(start)
            for level in range(min(_FIRST_LEVEL, self.levels), self.levels + 1)
            for search in [self._search(level, rest)]
            for start in range(_STARTS)
        )
        _, parts = min(found, key=lambda each: each[0])
        return self._kept_apart(parts, rest)

    @cached_property
    def _from_large(self) -> list[int]:
        """The parts, the largest first."""
        return [int(part) for part in np.argsort(-self.allotment.fractions, kind="stable")]

    def _search(self, level: int, rest: int | None) -> _Search:
        blocks = self.blocks >> (self.levels - level)
        tiles = np.concatenate((self.ones, self.others))
        beside = blocks[np.concatenate((self.others, self.ones))]
        entries = np.unique(np.stack((tiles, beside))[:, blocks[tiles] != beside], axis=1)
        ranks = np.empty(len(self._from_large), np.int64)
        ranks[self._from_large] = np.arange(len(ranks))
        if rest is not None:
            ranks[rest] = -1
        return _Search(self.allotment, blocks, entries[0], entries[1], ranks)

    def _kept_apart(self, parts: Rows, rest: int | None) -> Rows:
        """Leave out tiles of the larger part where two parts are close."""
        kept, done = parts.copy(), np.zeros(len(parts), bool)
        for part in reversed(self._from_large):
            if part == rest:
                continue
            close = np.zeros(len(parts), bool)
            for ones, others in ((self.ones, self.others), (self.others, self.ones)):
                close[ones[done[others]]] = True
            own = parts == part
            kept[own & close] = LEFT_OUT
            done |= own & ~close
        return kept


@dataclass
class _Search:
    """Search which block goes to which part.

    Attributes:
        allotment: the n tiles.
        blocks: (n,) of them.
        tiles, beside: (E,) a tile, and another block in which a tile is close to it.
        ranks: (P,) a tile is left out if one of a part of higher rank is close; −1: the rest.
    """

    allotment: Allotment
    blocks: Rows
    tiles: Rows
    beside: Rows
    ranks: Rows

    def best_from(self, start: int) -> tuple[float, Rows]:
        """The score, lower is better, and the parts of all tiles, from a random start."""
        chosen = self._neighbouring(start) if start % 2 else self._scattered(start)
        score = self._score(chosen)
        while True:
            trials = [(self._score(trial), at) for at, trial in self._moves(chosen)]
            best, (block, part) = min(trials)
            if best >= score - 1e-9:
                return score, chosen[self.blocks]
            score, chosen[block] = best, part

    def _scattered(self, start: int) -> Rows:
        """All blocks in the largest part, but one in each of the others."""
        order = np.argsort(-self.allotment.fractions, kind="stable").tolist()
        chosen = np.full(len(self._sizes), order[0])
        for part, block in zip(order[1:], self._random_blocks(start)):
            chosen[block] = part
        return chosen

    def _neighbouring(self, start: int) -> Rows:
        """Each part a range of blocks: consecutive ones mostly lie side by side."""
        count, order = len(self._sizes), list(range(len(self.ranks)))
        first = min(range(len(self.blocks)), key=lambda row: self.allotment.ids[row])
        order.sort(key=lambda part: self.allotment.draw(first, f"split range {start} {part}"))
        ends = np.round(np.cumsum(self.allotment.fractions[order]) * count)
        return np.array(order)[np.searchsorted(ends[:-1], np.arange(count), side="right")]

    def _random_blocks(self, start: int) -> Sequence[int]:
        """The blocks in an order by the seed and the first id in each."""
        first: dict[int, int] = {}
        for row in sorted(range(len(self.blocks)), key=lambda row: self.allotment.ids[row]):
            first.setdefault(int(self.blocks[row]), row)
        purpose = f"split block {start}"
        return sorted(first, key=lambda block: self.allotment.draw(first[block], purpose))

    def _moves(self, chosen: Rows) -> Iterator[tuple[tuple[int, int], Rows]]:
        for block in range(len(chosen)):
            for part in range(len(self.ranks)):
                if chosen[block] != part:
                    trial = chosen.copy()
                    trial[block] = part
                    yield (block, part), trial

    def _score(self, chosen: Rows) -> float:
        """How far the parts are from the fractions, in all and by class, and what is lost."""
        own = chosen[self.blocks[self.tiles]]
        is_lost = (self.ranks[chosen[self.beside]] > self.ranks[own]) & (self.ranks[own] >= 0)
        lost = np.unique(self.tiles[is_lost])
        parts = np.full(len(self.blocks), LEFT_OUT)
        parts[lost] = chosen[self.blocks[lost]]
        counts = -self.allotment.counts(parts)
        np.add.at(counts, chosen, self._sizes)
        fractions = self.allotment.fractions
        total, sizes = float(counts.sum()), counts.sum(axis=0)
        if not total:
            return np.inf
        by_class = np.abs(counts / np.maximum(sizes, 1) - fractions[:, None]).sum(axis=0)
        in_all = np.abs(counts.sum(axis=1) / total - fractions).sum()
        empty = int((counts.sum(axis=1) == 0).sum())
        spread = 2 * float(in_all) + float((by_class * sizes).sum()) / total
        return spread + _LOST * len(lost) / len(self.blocks) + _EMPTY * empty

    @cached_property
    def _sizes(self) -> NDArray[np.float64]:
        """(B, K) the tiles of each class in each block."""
        classes = self.allotment.class_count
        keys = self.blocks * classes + self.allotment.classes
        found = np.bincount(keys, minlength=(int(self.blocks.max()) + 1) * classes)
        return found.reshape(-1, classes).astype(float)
