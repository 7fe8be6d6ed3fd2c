"""The loop: propose, answer, rank again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rsretrieve.errors import InputError, ModelMismatch
from rsretrieve.search.finding.find_kind import KindFinder
from rsretrieve.search.finding.find_session import Answer, FindSession, GivenExample
from rsretrieve.search.finding.kind_estimate import Targets
from rsretrieve.search.finding.proposals import Reason
from tests.support.indexes.kinds import index_of_kinds


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return index_of_kinds(tmp_path_factory.mktemp("kinds") / "index")


def session_of(*examples: GivenExample, **fields: object) -> FindSession:
    examples = examples or (GivenExample("0/3.tif", True, "0/3.tif"),)
    return FindSession("index", "", 12, examples=examples, **fields)


def id_of(store, row):
    return store.rows[int(row)].id


def answers_of(store, proposals):
    ids = [id_of(store, proposal.row) for proposal in proposals]
    return {name: Answer.YES if name.startswith("0/") else Answer.NO for name in ids}


def after_rounds(store, rounds, finder=None):
    finder = finder or KindFinder(store, session_of())
    for _ in range(rounds):
        finder.answer(answers_of(store, finder.propose(10)))
    return finder


@pytest.mark.medium
def test_thirty_answers_find_the_kind_and_tell_how_many_there_are(store):
    finder = after_rounds(store, 3)
    found = finder.found(0.5)
    right = [id_of(store, row).startswith("0/") for row in found.rows]
    assert np.mean(right) > 0.9
    assert sum(right) > 50
    count = found.estimate.count
    assert count.low <= 60 <= count.high
    assert count.high < 150
    assert finder.evidence == 30


def test_confirmed_tiles_are_found_and_refused_ones_are_not(store):
    finder = after_rounds(store, 2)
    found = finder.found(0.0)
    ids = [id_of(store, row) for row in found.rows]
    given = finder.session.answers
    assert {t for t, a in given.items() if a is Answer.YES} | {"0/3.tif"} == {
        name for name, sure in zip(ids, found.confirmed) if sure
    }
    assert not {t for t, a in given.items() if a is Answer.NO} & {*ids}
    assert len(ids) == 300 - sum(a is Answer.NO for a in given.values())
    assert found.probabilities[found.confirmed].tolist() == [1.0] * int(found.confirmed.sum())
    assert (np.diff(found.ranks) > 0).all()


def test_nothing_is_said_with_few_answers(store):
    found = KindFinder(store, session_of()).found(0.5)
    assert found.estimate is None
    assert not found.is_enough


def test_it_says_when_to_stop(store):
    finder = KindFinder(store, session_of(), Targets(0.5, 0.3))
    assert after_rounds(store, 3, finder).found(0.5).is_enough
    strict = KindFinder(store, finder.session, Targets(1.0, 1.0))
    assert not strict.found(0.5).is_enough


@pytest.mark.medium
def test_going_on_later_is_the_same_as_at_once(store):
    once = after_rounds(store, 2)
    part = after_rounds(store, 1)
    later = after_rounds(store, 1, KindFinder(store, part.session))
    assert later.session == once.session
    assert later.found(0.5).rows.tolist() == once.found(0.5).rows.tolist()


def test_tiles_without_an_answer_are_proposed_again(store):
    finder = KindFinder(store, session_of())
    first = [p.row for p in finder.propose(10)]
    assert sorted(p.row for p in finder.propose(10)) == sorted(first)
    finder.answer({id_of(store, row): Answer.YES for row in first[:4]})
    again = finder.propose(10)
    assert {p.row for p in again if p.reason is Reason.AGAIN} == {*first[4:]}
    assert len(again) == 10
    assert len({p.row for p in again}) == 10


def test_an_unsure_answer_counts_as_none_and_is_not_asked_for_again(store):
    finder = KindFinder(store, session_of())
    asked = [p.row for p in finder.propose(10)]
    before = finder.found(0.5).rows.tolist()
    finder.answer({id_of(store, row): Answer.UNSURE for row in asked})
    assert finder.evidence == 0
    assert finder.found(0.5).rows.tolist() == before
    assert not {p.row for p in finder.propose(10)} & {*asked}


def test_answers_on_tiles_that_were_not_proposed_are_no_evidence(store):
    finder = KindFinder(store, session_of())
    finder.answer({"0/5.tif": Answer.YES, "1/5.tif": Answer.NO})
    assert finder.evidence == 0
    assert finder.found(0.5).confirmed.sum() == 2


def test_an_answer_on_an_example_replaces_it(store):
    examples = [GivenExample(name, True, name) for name in ("0/3.tif", "1/4.tif")]
    finder = KindFinder(store, session_of(*examples))
    finder.answer({"1/4.tif": Answer.NO})
    assert [id_of(store, r) for r in finder.found(1.0).rows] == ["0/3.tif"]


def test_vectors_are_examples(store):
    vector = tuple(map(float, store.vectors[3]))
    finder = KindFinder(store, session_of(GivenExample("a.npy", True, None, vector)))
    assert id_of(store, finder.found(0.1).rows[0]).startswith("0/")
    assert not finder.found(0.1).confirmed.any()


def test_tiles_that_are_gone_are_noticed(store):
    finder = KindFinder(store, session_of(answers={"gone.tif": Answer.YES}))
    assert "gone.tif" in finder.notices[0]
    assert finder.found(0.5).confirmed.sum() == 1


def test_a_session_without_a_known_positive_is_refused(store):
    with pytest.raises(InputError, match="no example"):
        KindFinder(store, session_of(GivenExample("x", True, "gone.tif")))


@pytest.mark.parametrize("changed", [{"fingerprint": "other"}, {"dimensions": 13}])
def test_a_session_of_another_model_is_refused(store, changed):
    with pytest.raises(ModelMismatch, match="another model"):
        KindFinder(store, replace(session_of(), **changed))


@pytest.mark.parametrize("size", [1, 2, 5])
def test_tiny_indexes_are_searched_to_the_end(tmp_path, size):
    store = index_of_kinds(tmp_path / "index", (size,))
    finder = KindFinder(store, session_of(GivenExample("a", True, "0/0.tif")))
    asked = finder.propose(10)
    assert len(asked) == size - 1
    finder.answer(answers_of(store, asked))
    assert finder.propose(10) == []
    assert len(finder.found(0.5).rows) == size


@pytest.mark.slow
def test_the_interval_holds_the_truth_in_most_searches(tmp_path):
    """Forty searches over kinds of other sizes and spreads, with answers chosen by the search."""
    rng, held, searches = np.random.default_rng(0), 0, 0
    for number in range(8):
        sizes = tuple(rng.integers(15, 200, 6).tolist())
        spread = float(rng.uniform(0.15, 0.45))
        store = index_of_kinds(tmp_path / f"{number}", sizes, spread, seed=number)
        for start in range(5):
            name = f"0/{start}.tif"
            finder = KindFinder(store, session_of(GivenExample(name, True, name)))
            count = after_rounds(store, 3, finder).found(0.5).estimate.count
            held += count.low <= sizes[0] <= count.high
            searches += 1
    assert held >= 0.9 * searches
