"""Find the places whose embedding changed most between two indexes, or two dates of one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsretrieve.data.dates.periods import DateInterval
from rsretrieve.errors import InputError, InvalidArgument, ModelMismatch
from rsretrieve.index.store.folder import IndexStore
from rsretrieve.search.changes.change_scores import LEAST_PAIRS, score_changes
from rsretrieve.search.changes.counterparts import Counterparts, match_tiles
from rsretrieve.search.date_filter import date_notices, taken_within
from rsretrieve.search.similarity_map import SceneWindows, SimilarityMap, map_of_values

_FEW_PLACES = 3  # with fewer, half of them or more are the overall shift


@dataclass(frozen=True)
class Side:
    """One date of a comparison.

    Attributes:
        store: the index.
        taken: only tiles taken in this interval; None for all.
        dates: the interval as the user gave it.
    """

    store: IndexStore
    taken: DateInterval | None = None
    dates: str = ""

    @property
    def rows(self) -> NDArray[np.int64]:
        """(R,) int64, rising, the rows to compare.

        Raises:
            InputError: no tile has a date, or none was taken in the interval.
        """
        if self.taken is None:
            return np.arange(len(self.store.rows))
        rows = np.flatnonzero(taken_within(self.store.rows, self.taken))
        if not len(rows):
            raise InputError(f"no tile of {self.store.folder} was taken in {self.dates}")
        return rows


@dataclass(frozen=True)
class Changes:
    """Places, those that changed most first.

    Attributes:
        before, after: the two dates.
        before_rows, after_rows: (M,) int64, rows of the two indexes.
        change: (M,) float64, ≥ 0; see `ChangeScores`.
        deviation: (M,) float64.
        similarity: (M,) float64.
        shift: the overall shift, 0…2.
        counterparts: how places were matched.
        notices: what a person must know.
    """

    before: Side
    after: Side
    before_rows: NDArray[np.int64]
    after_rows: NDArray[np.int64]
    change: NDArray[np.float64]
    deviation: NDArray[np.float64]
    similarity: NDArray[np.float64]
    shift: float
    counterparts: Counterparts
    notices: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.after_rows)

    def map_of(self, scene: SceneWindows) -> SimilarityMap:
        """The change of every window of a scene of the later index; NaN without a counterpart."""
        values = np.full(len(self.after.store.rows), np.nan, np.float32)
        values[self.after_rows] = self.change
        return map_of_values(self.after.store, scene, values[scene.rows])


def find_changes(before: Side, after: Side, seed: int = 0) -> Changes:
    """Match the places of two dates, and score how much each changed.

    Args:
        before: the earlier date.
        after: the later date.
        seed: see `score_changes`.

    Raises:
        ModelMismatch: the indexes hold embeddings of different models.
        InvalidArgument: both dates are all tiles of one index.
        InputError: no tile has a counterpart, or none has a date.
    """
    _require_comparable(before, after)
    rows = before.rows, after.rows
    _refuse_common_rows(before, after, *rows)
    found = match_tiles(before.store.rows, after.store.rows, *rows)
    if not len(found.before):
        raise InputError(
            f"no tile of {before.store.folder} has a counterpart in {after.store.folder}: none is "
            "at the same place, and none has the same id",
            hint="index both dates with the same --window and --stride, or with the same tile ids",
        )
    scores = score_changes(
        before.store.vectors[found.before], after.store.vectors[found.after], seed
    )
    order = np.argsort(-scores.change, kind="stable")
    return Changes(
        before,
        after,
        found.before[order],
        found.after[order],
        scores.change[order],
        scores.deviation[order],
        scores.similarity[order],
        scores.shift,
        found,
        tuple(_notices(before, after, found)),
    )


def _require_comparable(before: Side, after: Side) -> None:
    one, other = before.store.manifest, after.store.manifest
    if (one.model_fingerprint, one.dimensions) != (other.model_fingerprint, other.dimensions):
        raise ModelMismatch(
            f"{before.store.folder} was built with the model {_model(one.model_fingerprint)} "
            f"({one.dimensions} dimensions), and {after.store.folder} with "
            f"{_model(other.model_fingerprint)} ({other.dimensions}): their vectors cannot be "
            "compared",
            hint="build both indexes with the same --model; the model of an index that was built "
            "without one is the folder `model` in it",
        )
    if _is_one_index(before, after) and (before.taken is None or after.taken is None):
        raise InvalidArgument(
            "one index is compared with itself",
            hint="give two indexes, or two dates of one with --before DATE --after DATE",
        )


def _is_one_index(before: Side, after: Side) -> bool:
    return before.store.folder.resolve() == after.store.folder.resolve()


def _refuse_common_rows(
    before: Side, after: Side, one: NDArray[np.int64], other: NDArray[np.int64]
) -> None:
    """Refuse two dates of an index that have tiles in common.

    Raises:
        InvalidArgument: they have.
    """
    common = np.intersect1d(one, other) if _is_one_index(before, after) else one[:0]
    if len(common):
        raise InvalidArgument(
            f"{len(common):,} tiles were taken in both {before.dates} and {after.dates}, such as "
            f"{before.store.rows[int(common[0])].id!r}",
            hint="give two intervals that do not overlap",
        )


def _model(fingerprint: str) -> str:
    return fingerprint[:12] or "unknown (external embeddings)"


def _notices(before: Side, after: Side, found: Counterparts) -> list[str]:
    notices = []
    sides = (before, found.alone_before, found.repeated_before)
    for side, alone, repeated in (sides, (after, found.alone_after, found.repeated_after)):
        dated = "" if side.taken is None else f" ({side.dates})"
        if repeated:
            notices.append(
                f"{repeated:,} tiles of {side.store.folder}{dated} have a later tile of the same "
                "place, which is compared instead; a narrower interval of dates chooses another"
            )
        if alone:
            notices.append(
                f"{alone:,} tiles of {side.store.folder}{dated} have no counterpart and are left "
                "out"
            )
        if side.taken is not None:
            notices += (text for text in date_notices(side.store.rows) if text not in notices)
    if found.by_name:
        notices.append(
            f"{found.by_name:,} pairs have no georeference and are matched by their names"
        )
    if len(found.before) < LEAST_PAIRS:
        notices.append(
            f"only {len(found.before)} places: the overall shift is the median difference, which "
            f"is coarse (from {LEAST_PAIRS} places on it is fitted)"
            + ", and changes cannot be told from it"
            * (len(found.before) < _FEW_PLACES)
        )
    if not before.store.manifest.model_fingerprint:
        notices.append(
            "both indexes hold external embeddings: whether one model made them is unknown"
        )
    return notices
