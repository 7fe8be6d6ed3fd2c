"""Text that is shown: nothing in it steers a terminal, and it fits."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsretrieve._core.text import printable, shortened, shortened_in_middle

unhurried = settings(deadline=None)  # of a machine that is busy
any_text = st.text(st.characters())  # lone surrogates, too


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("dichter Wald/Größe #1.png", "dichter Wald/Größe #1.png"),
        ("海滩 🌊", "海滩 🌊"),
        ("two\nlines\r\n\ttab", r"two\nlines\r\n\ttab"),
        ("\x1b[31mred\x1b[0m\x07", r"\x1b[31mred\x1b[0m\x07"),
        ("caf\udce9.png", r"caf\udce9.png"),
        ("exe\u202egnp.tif", r"exe\u202egnp.tif"),
        ("\x9b2J", r"\x9b2J"),
        ("\U000e0001", r"\U000e0001"),
        (r"back\slash", r"back\slash"),
    ],
)
def test_what_would_steer_a_terminal_is_escaped(text, shown):
    assert printable(text) == shown


@pytest.mark.medium
@unhurried
@given(any_text)
def test_whatever_is_shown_is_printable_utf8_and_shown_twice_the_same(text):
    shown = printable(text)
    assert shown.isprintable()
    assert shown.encode().decode() == shown
    assert printable(shown) == shown


@pytest.mark.parametrize(
    ("text", "room", "shown"),
    [
        ("forest", 6, "forest"),
        ("forest", 5, "fore…"),
        ("forest", 1, "…"),
        ("forest", 0, "…"),
        ("", 0, ""),
        ("a\nb", 4, r"a\nb"),
        ("a\nb", 3, "a\\…"),
    ],
)
def test_a_text_is_cut_where_its_room_ends(text, room, shown):
    assert shortened(text, room, len) == shown


def test_room_is_measured_as_the_caller_measures():
    def width(text):
        return sum(0.5 if character in "il…" else 1.0 for character in text)

    assert shortened("illicit", 3.5, width) == "illic…"
    assert shortened("illicit", 4.5, width) == "illicit"


@unhurried
@given(any_text, st.integers(1, 20))
def test_a_shortened_text_fits_and_is_cut_no_earlier_than_it_must(text, room):
    shown = shortened(text, room, len)
    whole = printable(text)
    assert len(shown) == min(len(whole), room)
    assert whole.startswith(shown.removesuffix("…") if shown != whole else whole)


@pytest.mark.parametrize(
    ("text", "room", "shown"),
    [
        ("scene.tif", 9, "scene.tif"),
        ("scene.tif", 8, "scen…tif"),
        ("scene.tif", 3, "s…f"),
        ("scene.tif", 2, "s…"),
        ("scene.tif", 0, "…"),
        ("", 0, ""),
        ("a\nb", 9, "a\\nb"),
    ],
)
def test_a_text_is_shortened_in_its_middle(text, room, shown):
    assert shortened_in_middle(text, room, len) == shown
