"""Sessions: what is written is read, and nothing else."""

from __future__ import annotations

import json
import math
import os
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsretrieve.errors import InputError
from rsretrieve.search.finding.find_session import (
    Answer,
    FindSession,
    GivenExample,
    read_session,
    write_session,
)

names = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
examples = st.builds(GivenExample, names, st.booleans(), tile=names)
SESSION = FindSession(
    index="index",
    fingerprint="abc",
    dimensions=2,
    seed=3,
    examples=(GivenExample("a", True, "a.tif"), GivenExample("b.npy", False, None, (0.6, 0.8))),
    rounds=(("b.tif", "c.tif"),),
    answers={"b.tif": Answer.YES},
)


@pytest.mark.medium
@settings(deadline=None, max_examples=50)
@given(
    session=st.builds(
        FindSession,
        index=names,
        fingerprint=names,
        dimensions=st.integers(1, 1000),
        seed=st.integers(0, 1000),
        examples=st.lists(examples).map(tuple),
        rounds=st.lists(st.lists(names).map(tuple)).map(tuple),
        answers=st.dictionaries(names, st.sampled_from(Answer)),
    )
)
def test_a_session_is_read_as_it_was_written(session, tmp_path_factory):
    path = tmp_path_factory.mktemp("session") / "s.json"
    write_session(path, session)
    assert read_session(path) == session


def test_vectors_are_kept(tmp_path):
    write_session(tmp_path / "s.json", SESSION)
    assert read_session(tmp_path / "s.json") == SESSION


def test_names_that_are_no_unicode_are_kept(tmp_path):
    name = os.fsdecode(b"caf\xe9.npy")
    session = replace(SESSION, index=name, examples=(GivenExample(name, True, "a.tif"),))
    write_session(tmp_path / "s.json", session)
    assert read_session(tmp_path / "s.json") == session
    (tmp_path / "s.json").read_text(encoding="utf-8")


def test_the_last_example_on_a_tile_counts_and_an_answer_against_it_is_told():
    like, unlike = (GivenExample("a", wanted, "a.tif") for wanted in (True, False))
    assert SESSION.with_examples([like]) == SESSION
    changed = SESSION.with_examples([unlike]).with_examples([like])
    assert [e.wanted for e in changed.examples if e.tile == "a.tif"] == [True, False, True]
    assert SESSION.answered_otherwise([like, GivenExample("b", True, "b.tif")]) == ()
    [notice] = SESSION.answered_otherwise([GivenExample("b", False, "b.tif")])
    assert "b.tif" in notice


def damaged(**changed: object) -> str:
    content = {
        "format": "rsretrieve find session",
        "version": 1,
        "index": "index",
        "model_fingerprint": "abc",
        "dimensions": 2,
        "seed": 0,
        "examples": [{"name": "a", "wanted": True, "tile": "a.tif", "vector": None}],
        "rounds": [["b.tif"]],
        "answers": {"b.tif": "yes"},
    }
    return json.dumps({**content, **changed})


def vector(*numbers: object) -> list[dict[str, object]]:
    return [{"name": "a", "wanted": True, "tile": None, "vector": [*numbers]}]


HOSTILE = {
    "no JSON": "{",
    "another file": "[1, 2]",
    "a number": "7",
    "another format": damaged(format="x"),
    "no version": damaged(version="1"),
    "answers are a list": damaged(answers=["b.tif"]),
    "an unknown answer": damaged(answers={"b.tif": "perhaps"}),
    "an answer is a list": damaged(answers={"b.tif": ["yes"]}),
    "rounds of numbers": damaged(rounds=[[1]]),
    "rounds are a text": damaged(rounds="b.tif"),
    "a negative seed": damaged(seed=-1),
    "a seed that is true": damaged(seed=True),
    "a huge number of dimensions": damaged(dimensions=10**9),
    "a vector that is too short": damaged(examples=vector(1.0)),
    "a vector of another length": damaged(examples=vector(0.1, 0.1)),
    "a vector of texts": damaged(examples=vector("a", "b")),
    "a vector that is not finite": damaged(examples=vector(math.inf, 0)),
    "a vector that is no number": damaged(examples=vector(math.nan, 0)),
    "neither a tile nor a vector": damaged(
        examples=[{"name": "a", "wanted": True, "tile": None, "vector": None}]
    ),
    "wanted is a text": damaged(
        examples=[{"name": "a", "wanted": "yes", "tile": "a", "vector": None}]
    ),
    "deep nesting": "[" * 100_000,
    "huge exponent": damaged(seed=0).replace('"seed": 0', '"seed": 1e999'),
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_damaged_session_is_refused(text, tmp_path):
    path = tmp_path / "s.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"s\.json is no find session"):
        read_session(path)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "s.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="no find session"):
        read_session(tmp_path / "s.json")


def test_a_session_of_a_newer_version_is_refused(tmp_path):
    (tmp_path / "s.json").write_text(damaged(version=2))
    with pytest.raises(InputError, match="newer"):
        read_session(tmp_path / "s.json")


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "s.json")
    with pytest.raises(OSError, match="pipe"):
        read_session(tmp_path / "s.json")


def test_examples_are_not_added_twice_and_answers_are_replaced():
    more = SESSION.with_examples([SESSION.examples[0], GivenExample("d", False, "d.tif")])
    assert [example.name for example in more.examples] == ["a", "b.npy", "d"]
    assert more.with_answers({"b.tif": Answer.NO}).answers == {"b.tif": Answer.NO}


def test_tiles_of_the_last_round_wait_for_answers():
    assert SESSION.unanswered == ("c.tif",)
    assert SESSION.with_round(["c.tif", "d.tif"]).proposed == {"b.tif", "c.tif", "d.tif"}


@pytest.mark.medium
@settings(deadline=None, max_examples=200)
@given(place=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_a_changed_byte_is_refused_or_read(place, byte, tmp_path_factory):
    path = tmp_path_factory.mktemp("session") / "s.json"
    write_session(path, SESSION)
    content = bytearray(path.read_bytes())
    content[place % len(content)] = byte
    path.write_bytes(content)
    with suppress(InputError):  # nothing else is raised
        assert isinstance(read_session(path), FindSession)


def test_a_session_continues_what_it_grew_from():
    earlier = SESSION
    grown = earlier.with_round(["d.tif"]).with_answers({"b.tif": Answer.NO, "c.tif": Answer.YES})
    grown = grown.with_examples([GivenExample("z", True, "z.tif")])
    assert grown.continues(earlier)
    assert earlier.continues(earlier)
    assert not earlier.continues(grown)


@pytest.mark.parametrize(
    "changed",
    [{"seed": 4}, {"examples": ()}, {"rounds": (("x",), ("b.tif", "c.tif"))}, {"answers": {}}],
)
def test_a_session_of_another_search_continues_nothing(changed):
    assert not replace(SESSION, **changed).continues(SESSION)
