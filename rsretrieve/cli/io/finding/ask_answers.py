"""Ask about tiles in the terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rsretrieve._core.text import printable
from rsretrieve.search.finding.find_session import Answer
from rsretrieve.search.finding.given_answers import answer_of

if TYPE_CHECKING:
    from rsretrieve.cli.io.finding.find_outputs import FindOutputs
    from rsretrieve.index.store.folder import IndexStore
    from rsretrieve.search.finding.find_run import FindRun
    from rsretrieve.search.finding.proposals import Proposal

_QUIT = ("q", "quit")


def ask_in_terminal(
    run: FindRun,
    store: IndexStore,
    outputs: FindOutputs,
    count: int,
    min_probability: float,
) -> None:
    """Ask about proposed tiles until the person stops, or the targets are reached.

    Each answer is saved at once; tiles are ranked again after each round.

    Args:
        run: the search.
        store: the index.
        outputs: writes the picture of each round.
        count: tiles of a round.
        min_probability: as in `KindFinder.found`.
    """
    while not run.finder.found(min_probability).is_enough:
        shown = run.propose(count)
        outputs.write_sheet(store, shown)
        answers, goes_on = _ask_all(run, store, shown)
        run.answer(answers)
        if not shown or not goes_on:
            return


def _ask_all(
    run: FindRun, store: IndexStore, shown: Sequence[Proposal]
) -> tuple[dict[str, Answer], bool]:
    """Ask about some tiles, and save each answer. Returns the answers, and whether to go on."""
    answers: dict[str, Answer] = {}
    for number, proposal in enumerate(shown, 1):
        tile = store.rows[proposal.row]
        answer = _ask(
            f"{number}/{len(shown)}  {tile.id}  ({proposal.probability:.0%})  {tile.path}"
        )
        if answer is None:
            return answers, False
        answers[tile.id] = answer
        run.keep(answers)
    return answers, True


def _ask(question: str) -> Answer | None:
    """Ask until there is an answer; None if the person stops, or the input ends."""
    while True:
        sys.stderr.write(f"{printable(question)}\nwanted? yes, no, unsure, quit: ")
        sys.stderr.flush()
        line = sys.stdin.readline()
        word = line.strip().lower()
        if not line or word in _QUIT:
            return None
        answer = answer_of(word)
        if answer is not None:
            return answer
