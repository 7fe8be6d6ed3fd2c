"""What is said about a split: what was left out, and which fractions and classes were missed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rsretrieve._core.text import some_of
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.splitting.allotment import LEFT_OUT, Allotment
from rsretrieve.data.splitting.close_tiles import overlapping_windows
from rsretrieve.data.splitting.joined_groups import Rows
from rsretrieve.data.tile import TileSet

_SAID_FROM = 0.01  # by how much a fraction is missed


@dataclass
class SplitReport:
    """Reports notices about a split.

    Attributes:
        tiles: the N tiles.
        names: of the lists.
        context: receives the notices.
        cuts: how many groups were cut into blocks.
    """

    tiles: TileSet
    names: Sequence[str]
    context: RunContext
    cuts: int = 0

    def of_scenes(self, groups: Rows) -> None:
        """Say if no two tiles share a scene (groups: (N,))."""
        if len(np.unique(groups)) == len(groups) > 1:
            self.context.notice(
                "no file has more than one tile: --by-scene keeps no tiles together "
                "(--by-place compares places)"
            )

    def of_unplaced(self, count: int, buffer_m: float) -> None:
        """Say how many tiles have no place."""
        if count:
            beside = " by place, nor are their distances known" if buffer_m else " by place"
            self.context.notice(
                f"{count} of {len(self.tiles)} tiles have no place: those of one file go to one "
                f"list, and they are not compared with other files{beside}"
            )

    def of_windows(self, parts: Sequence[TileSet]) -> None:
        """Say how many windows of each list overlap windows of another list."""
        counts = overlapping_windows([part.tiles for part in parts])
        if any(counts):
            each = zip(self.names, counts, parts)
            shown = ", ".join(f"{count} of {len(part)} in {name}" for name, count, part in each)
            self.context.notice(
                f"windows that overlap a window of another list: {shown}; figures on such lists "
                "are too high (--by-place keeps overlapping windows together)"
            )

    def of_empty_lists(self, parts: Sequence[TileSet]) -> None:
        """Say which lists have no tile."""
        if empty := [name for name, part in zip(self.names, parts) if not len(part)]:
            self.context.notice(
                f"no tile in {', '.join(empty)}: {len(self.tiles)} tiles in "
                f"{len(self.tiles.class_names)} classes are too few for these fractions"
            )

    def of_cuts(self, left_out: int) -> None:
        """Say how many groups were cut into blocks, and how many tiles that left out."""
        if self.cuts:
            self.context.notice(
                f"{self.cuts} group{'s' * (self.cuts > 1)} of tiles that are close, directly or "
                "through others, too large for the fractions: cut into contiguous blocks; "
                f"{left_out} tiles at the borders of blocks are left out of every list"
            )

    def of_fractions(self, wanted: Sequence[float], groups: Rows, parts: Rows) -> None:
        """Say which fractions were reached, if one is missed (groups and parts: (N,))."""
        listed = parts[parts != LEFT_OUT]
        reached = np.bincount(listed, minlength=len(wanted))[: len(wanted)] / max(len(listed), 1)
        rounding = max(len(self.tiles.class_names), 1) / max(len(groups), 1)
        if np.abs(reached - wanted).max() <= max(_SAID_FROM, rounding):
            return
        shown = ", ".join(f"{name} {share:.3f}" for name, share in zip(self.names, reached))
        asked = ", ".join(f"{share:g}" for share in wanted)
        sizes = np.bincount(groups)
        self.context.notice(
            f"fractions reached: {shown} (asked for {asked}); the largest of {(sizes > 0).sum()} "
            f"groups that stay together had {sizes.max()} of {len(groups)} tiles"
        )

    def of_classes(self, allotment: Allotment, parts: Rows, lists: int) -> None:
        """Say which classes are missing from a list that should have a tile of them."""
        counts = allotment.counts(parts)[:lists]
        sizes = np.bincount(allotment.classes, minlength=allotment.class_count)
        wanted = np.outer(allotment.fractions[:lists], sizes)
        labels = sorted({tile.label or "" for tile in self.tiles})
        for name, missing in zip(self.names, (counts == 0) & (wanted >= 1)):
            if absent := [labels[i] for i in np.flatnonzero(missing) if labels[i]]:
                self.context.notice(
                    f"classes without a tile in {name}: {len(absent)} ({some_of(absent)})"
                )
