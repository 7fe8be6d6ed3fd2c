"""The grid of thirty tiles: marking exceptions, deciding on many tiles, undoing it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.pages.audit_pages import write_page
from tests.support.pages.browser_pages import Session

pytestmark = pytest.mark.medium

CARDS = 80


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_page(tmp_path_factory.mktemp("grid"), CARDS)


def decisions(session: Session, path: Path) -> dict[str, str]:
    return {row["tile"]: row["decision"] for row in session.saved(path)}


def test_the_grid_shows_thirty_on_a_screen_and_leads_to_the_next(session: Session) -> None:
    session.press("g")
    cells = session.page.locator("article.cell")
    assert cells.count() == 30
    boxes = [cell.bounding_box() for cell in cells.all()]
    assert all(box and box["y"] >= 0 and box["y"] + box["height"] <= 900 for box in boxes)
    session.press("n")
    assert session.page.inner_text("#screen") == "Screen 2 of 3"
    assert session.current == "tile 00030.png"
    session.press("n", "n")
    assert cells.count() == 20
    session.press("p", "g")
    assert session.current == "tile 00030.png"
    assert session.page.locator("article.card.current").count() == 1


def test_arrows_and_digits_lead_to_a_tile(session: Session) -> None:
    session.press("g", "1", "7")
    assert session.current == "tile 00016.png"
    session.press("ArrowUp", "ArrowRight")
    assert session.current == "tile 00007.png"
    session.press("ArrowDown", "ArrowLeft", "j", "k")
    assert session.current == "tile 00016.png"
    session.press("9", "9")
    assert session.current == "tile 00016.png"


def test_a_screen_is_accepted_but_for_exceptions_and_off_topic_tiles(
    session: Session, tmp_path: Path
) -> None:
    session.press("g", "0", "5", "r", "0", "7", "b", "Shift+A")
    found = decisions(session, tmp_path / "d.csv")
    off_topic = {f"tile {n:05d}.png" for n in (9, 19, 29)}
    assert len(found) == 27
    assert not off_topic & found.keys()
    assert (found.pop("tile 00004.png"), found.pop("tile 00006.png")) == ("reject", "choose")
    assert {*found.values()} == {"accept"}
    assert session.page.inner_text("#screen") == "Screen 2 of 3"
    session.press("p", "Shift+X")
    found = decisions(session, tmp_path / "e.csv")
    assert {tile for tile, rule in found.items() if rule == "remove"} == off_topic


def test_one_key_undoes_a_screen(session: Session, tmp_path: Path) -> None:
    session.press("g", "a", "Shift+A", "z")
    assert decisions(session, tmp_path / "d.csv") == {"scene.png#16,16,16,16": "accept"}
    assert session.page.inner_text("#screen") == "Screen 1 of 3"
    session.press("z", "z")
    assert session.status.startswith("0 of 80 decided")


def test_exceptions_are_marked_by_the_key_at_their_place(session: Session, tmp_path: Path) -> None:
    session.press("g", "m")
    # The second of the first row; the first of the second row twice; a comma, three times; a
    # mark that is taken back.
    session.press("w", "a", "a", ",", ",", ",", "e", "e", "e", "e")
    assert session.page.locator("article.marked").count() == 3
    session.press("Enter")
    found = {row["tile"]: row["label"] for row in session.saved(tmp_path / "d.csv")}
    assert found["tile 00001.png"] == "road"
    assert found["tile 00010.png"] == "forest"
    assert "tile 00027.png" not in found
    assert found["tile 00002.png"] == "water"
    assert len(found) == 26
    assert session.page.inner_text("#screen") == "Screen 2 of 3"
    session.press("Control+z")
    assert session.status.startswith("0 of 80 decided")


def test_exceptions_are_marked_by_tapping(session: Session) -> None:
    page = session.page
    session.press("g")
    page.click("#mark")
    page.locator("article.cell").nth(3).click()
    assert page.locator("article.marked .decision").inner_text() == "keep road"
    page.click("#apply-marks")
    assert session.status.startswith("27 of 80 decided")
    session.press("Escape")
    assert page.locator("#marking").is_hidden()


def test_all_that_the_filters_show_is_accepted_after_a_question(
    session: Session, tmp_path: Path
) -> None:
    page = session.page
    page.select_option("#suggested", "water")
    page.click("#accept-all")
    text = page.inner_text("#asker")
    for words in ("Accept 36 suggestions?", "road → water: 36", "71%"):
        assert words in text
    page.click("#asker >> text=Cancel")
    assert session.status.startswith("0 of 80 decided")
    page.click("#accept-all")
    session.press("Enter")
    assert {*decisions(session, tmp_path / "d.csv").values()} == {"accept"}
    assert session.status.startswith("36 of 80 decided")
    page.click("#undo")
    assert session.status.startswith("0 of 80 decided")


def test_the_probable_suggestions_alone_are_shown_and_accepted(session: Session) -> None:
    page = session.page
    page.select_option("#least", "0.95-2")
    assert session.shown == "6 of 80 shown"
    page.click("#accept-all")  # no question: they fit a screen
    assert session.status.startswith("6 of 80 decided")
    page.select_option("#least", "0-0.5")
    assert session.shown == "14 of 80 shown"


def test_the_next_undecided_tile_is_found(session: Session) -> None:
    session.press("a", "a", "k", "k", "o")
    assert session.current == "tile 00002.png"
    session.press("k", "k", "r")  # whoever changes a decision goes on where they were
    assert session.current == "tile 00002.png"
