"""Notes: counted, said once, and never in the words of a file."""

from __future__ import annotations

import pytest

from rsretrieve.data import notes
from rsretrieve.data.notes import Note, NoteCounts, known_notes
from rsretrieve.data.run_context import RunContext
from tests.support.tiles.made_tiles import labelled_tiles


def test_a_note_is_said_once_with_its_count_and_an_example():
    context = RunContext()
    for tile in labelled_tiles(forest=3):
        context.add_notes(tile.id, (Note.EXTREME,))
        context.add_notes(tile.id, (Note.EXTREME,))  # it is read twice
    context.add_notes(labelled_tiles(harbor=1)[0].id, (Note.INEXACT,))
    first, second = context.notices
    assert first.startswith("3 tiles (such as forest/0.png)")
    assert "1e30" in first
    assert second.startswith("1 tile (such as harbor/0.png)")


@pytest.mark.parametrize("note", Note)
def test_every_note_has_its_sentence(note):
    counts = NoteCounts()
    counts.add("a.tif", (note,))
    (sentence,) = counts.sentences()
    assert "a.tif" in sentence


def test_a_worker_cannot_make_words_of_its_own():
    assert known_notes(["inexact", "buy this", 5, None, "fill"]) == (Note.INEXACT, Note.FILL)


def test_of_very_many_tiles_the_ids_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notes, "MOST_COUNTED", 5)
    counts = NoteCounts()
    for i in range(9):
        counts.add(f"tile{i}", (Note.BY_RPCS,))
    (sentence,) = counts.sentences()
    assert sentence.startswith("more than 5 tiles (such as tile0): ")
