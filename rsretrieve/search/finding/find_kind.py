"""Find every tile of a kind: rank, propose, take answers, estimate, and begin again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow
from numpy.typing import NDArray

from rsretrieve._core.text import some_of
from rsretrieve.errors import InputError, ModelMismatch
from rsretrieve.index.store.columns import rows_of_ids, taken
from rsretrieve.index.store.folder import IndexStore
from rsretrieve.search.finding.find_session import Answer, FindSession
from rsretrieve.search.finding.kind_estimate import (
    KindEstimate,
    Population,
    Targets,
    estimate_kind,
)
from rsretrieve.search.finding.kind_ranking import Example, KindRanking, KindSearch
from rsretrieve.search.finding.proposals import Proposal, Proposer, Reason
from rsretrieve.search.finding.relevance_curve import RelevanceCurve, fit_curve

LEAST_ANSWERS = 10
"""With fewer answers on proposed tiles, nothing is said about the number of tiles of the kind."""
ENOUGH = 0.9
"""How probable it must be that the targets are reached, to say that it is time to stop."""


@dataclass(frozen=True)
class FoundKind:
    """The tiles of the kind, as far as they are found.

    Attributes:
        rows: (F,) int64, rows of the index, the likeliest first.
        ranks: (F,) int64, their ranks among all tiles, from 1.
        probabilities: (F,) float64, that each is of the kind; 1 where a person said so.
        confirmed: (F,) bool, whether a person said so.
        estimate: how many there are; None with too few answers.
    """

    rows: NDArray[np.int64]
    ranks: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    confirmed: NDArray[np.bool_]
    estimate: KindEstimate | None

    @property
    def is_enough(self) -> bool:
        """Whether it is time to stop."""
        return self.estimate is not None and self.estimate.reached >= ENOUGH


class KindFinder:
    """Finds the tiles of one kind in one index. The state is in the session.

    Args:
        store: the index.
        session: the state; see `FindSession`.
        targets: the precision and the recall to reach.
        search: ranks the tiles of the index; None for a new one. Several searches may share it.

    Attributes:
        session: the state, which grows.

    Raises:
        ModelMismatch: the session belongs to an index of another model.
        InputError: the session has no positive example that is known.
    """

    def __init__(
        self,
        store: IndexStore,
        session: FindSession,
        targets: Targets | None = None,
        search: KindSearch | None = None,
    ) -> None:
        require_same_embedding(store, session)
        self.session = session
        self._store, self._targets = store, targets or Targets()
        self._search = search or KindSearch(store.vectors)
        self._absent: tuple[str, ...] = ()
        self._rank()

    @property
    def notices(self) -> list[str]:
        """What a person must know about the session."""
        if not self._absent:
            return []
        return [
            f"{len(self._absent)} tiles of the session are no longer in {self._store.folder} and "
            f"are ignored ({some_of(self._absent)})"
        ]

    def answer(self, answers: Mapping[str, Answer]) -> None:
        """Take answers, by tile id, and rank all tiles again."""
        if answers:
            self.session = self.session.with_answers(answers)
            self._rank()

    def propose(self, count: int) -> list[Proposal]:
        """The tiles to look at next.

        Tiles of the last round that have no answer yet are proposed again.

        Args:
            count: number of tiles.
        """
        again = self.session.unanswered[:count]
        waiting = [self._again(row) for row in self._rows_of(again).tolist() if row >= 0]
        more = count - len(waiting)
        if more > 0:
            rng = np.random.default_rng((self.session.seed, len(self.session.rounds)))
            decided = {*self._decided.tolist()}
            proposer = Proposer(self._store.vectors, self._ranking, self._curve, decided)
            new = proposer.propose(more, rng)
            waiting += new
            ids = self._ids_of([proposal.row for proposal in new])
            if ids:
                self.session = self.session.with_round([*self.session.unanswered, *ids])
        return sorted(waiting, key=lambda proposal: proposal.rank)

    def found(self, min_probability: float) -> FoundKind:
        """The tiles of the kind: those that a person confirmed, and the likely ones.

        Args:
            min_probability: the least probability of a tile that nobody decided on.
        """
        ranking, marks = self._ranking, self._marks
        open_ranks = np.flatnonzero(marks[ranking.rows] == _OPEN) + 1
        likely = self._curve.probabilities(open_ranks) >= min_probability
        confirmed = np.flatnonzero(marks[ranking.rows] == _WANTED) + 1
        ranks = np.sort(np.concatenate((confirmed, open_ranks[likely])))
        rows = ranking.rows[ranks - 1]
        sure = marks[rows] == _WANTED
        estimate = None
        if self._evidence >= LEAST_ANSWERS:
            population = Population(len(confirmed), open_ranks, likely)
            estimate = estimate_kind(self._curve, population, self._targets, self.session.seed)
        probabilities = np.where(sure, 1.0, self._curve.probabilities(ranks))
        return FoundKind(rows, ranks, probabilities, sure, estimate)

    @property
    def ranked_rows(self) -> NDArray[np.int64]:
        """(N,) int64, all rows of the index, the likeliest first."""
        return self._ranking.rows

    @property
    def evidence(self) -> int:
        """The number of answers on proposed tiles, which the estimates rest on."""
        return self._evidence

    def _rank(self) -> None:
        """Rank all tiles by the examples and the answers."""
        given = self._examples()
        if not any(example.wanted for example in given.values()):
            raise InputError(
                "the session has no example of the wanted kind",
                hint="give one with --like EXAMPLE",
            )
        self._ranking: KindRanking = self._search.rank([*given.values()])
        self._marks = np.zeros(len(self._store.rows), np.int8)
        for example in given.values():
            if example.row is not None:
                self._marks[example.row] = _WANTED if example.wanted else _UNWANTED
        proposed = self._rows_of(self.session.proposed)
        self._decided = np.union1d(np.flatnonzero(self._marks), proposed[proposed >= 0])
        self._curve, self._evidence = self._fit(proposed)

    def _fit(self, proposed: NDArray[np.int64]) -> tuple[RelevanceCurve, int]:
        """The curve by the answers on proposed tiles, which were not chosen by a person."""
        began = self._rows_of(e.tile for e in self.session.examples if e.tile is not None)
        rows = np.setdiff1d(proposed[proposed >= 0], began)
        rows = rows[self._marks[rows] != _OPEN]
        ranks = np.array([self._ranking.own_ranks[row] for row in rows.tolist()], np.int64)
        wanted = self._marks[rows] == _WANTED
        return fit_curve(len(self._store.rows), ranks, wanted), len(rows)

    def _examples(self) -> dict[str, Example]:
        """Examples and answers by name; the last example counts, and an answer replaces it."""
        vectors = self._store.vectors
        found, absent = {}, []
        asked = {e.tile: e.wanted for e in self.session.examples if e.tile is not None}
        said = {t: a is Answer.YES for t, a in self.session.answers.items() if a != Answer.UNSURE}
        decided = asked | said
        for (tile, wanted), row in zip(decided.items(), self._rows_of(decided).tolist()):
            if row < 0:
                absent.append(tile)
            else:
                found[f"tile {tile}"] = Example(wanted, np.asarray(vectors[row]), row)
        given = {e.vector: e.wanted for e in self.session.examples if e.vector is not None}
        for number, (vector, wanted) in enumerate(given.items()):
            found[f"vector {number}"] = Example(wanted, np.asarray(vector, np.float32))
        self._absent = tuple(absent)
        return found

    def _again(self, row: int) -> Proposal:
        rank = int(self._ranking.ranks[row])
        [probability] = self._curve.probabilities(np.array([rank])).tolist()
        return Proposal(row, rank, probability, Reason.AGAIN)

    def _rows_of(self, tiles: Iterable[str]) -> NDArray[np.int64]:
        """(T,) int64, the rows of some tiles; −1 for those that are not in the index."""
        wanted = pyarrow.array(map(_storable, tiles), pyarrow.string())
        return rows_of_ids(self._store.rows, wanted)

    def _ids_of(self, rows: Sequence[int]) -> list[str]:
        column = self._store.rows.columns.column("id")
        ids: list[str] = taken(column, np.asarray(rows, np.int64)).to_pylist()
        return ids


_OPEN, _WANTED, _UNWANTED = 0, 1, 2


def _storable(tile: str) -> str:
    """A text that Arrow takes; a lone surrogate, which no id has, becomes a question mark."""
    return tile.encode("utf-8", "replace").decode()


def require_same_embedding(store: IndexStore, session: FindSession) -> None:
    """Refuse a session whose answers belong to an index of another model.

    Raises:
        ModelMismatch: the model or the dimensions differ.
    """
    manifest = store.manifest
    if (session.fingerprint, session.dimensions) != (
        manifest.model_fingerprint,
        manifest.dimensions,
    ):
        raise ModelMismatch(
            f"the session belongs to an index of another model ({session.index}, "
            f"{session.fingerprint[:12] or 'external embeddings'}, {session.dimensions} "
            f"dimensions) than {store.folder}",
            hint="give that index, or begin another session with --like and another --session FILE",
        )
