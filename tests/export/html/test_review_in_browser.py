"""A review from the first card to the command: enlarging, the map, two reviewers, what is left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rsretrieve.audit.decisions.saved_decisions import Decision, Disagreement
from rsretrieve.data.labels.confirmed import Rule
from tests.support.pages.audit_pages import COMMAND, write_page
from tests.support.pages.browser_pages import Session

pytestmark = pytest.mark.medium

CARDS = 40
BOB = "tile,label,decision,by\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_page(tmp_path_factory.mktemp("review"), CARDS)


def load(session: Session, path: Path, content: str) -> None:
    path.write_text(content, encoding="utf-8")
    session.page.set_input_files("#file", path)
    session.page.locator("#status", has_text="read from").wait_for()


def test_the_first_card_has_the_ring_and_the_focus_from_the_start(session: Session) -> None:
    first = session.page.locator("article").nth(0)
    assert "current" in str(first.get_attribute("class"))
    assert session.page.evaluate("document.activeElement === document.querySelector('article')")
    assert session.page.evaluate("scrollY") == 0


def test_a_card_shows_probabilities_and_the_second_class(session: Session, tmp_path: Path) -> None:
    first = session.page.locator("article").nth(0)
    texts = [
        " ".join(text.split()) for text in first.locator("button[data-action]").all_inner_texts()
    ]
    assert texts[1:] == [
        *(
            "Accept water 99% A",
            "forest <1% B",
            "Keep road 1% R",
            "Other… C",
            "No class X",
            "Skip S",
        )
    ]
    session.press("b")
    (row,) = session.saved(tmp_path / "d.csv")
    assert (row["label"], row["decision"], row["suggested_label"]) == ("forest", "choose", "water")


def test_an_off_topic_tile_first_offers_no_class(session: Session, tmp_path: Path) -> None:
    card = session.page.locator("article[aria-posinset='10']")
    assert card.locator(".actions button").first.inner_text().startswith("No class")
    card.locator("button[data-action=remove]").click()
    (row,) = session.saved(tmp_path / "d.csv")
    assert (row["label"], row["decision"], row["kind"]) == ("", "remove", "off_topic")


def test_the_space_bar_enlarges_and_keys_decide_there(session: Session) -> None:
    page = session.page
    session.press(" ")
    assert page.locator("#enlarger").is_visible()
    assert page.inner_text("#enlarger-title") == "scene.png#16,16,16,16"
    parts = (page.locator(f"#enlarger {name}") for name in (".frame", ".framed img"))
    frame, around = (part.bounding_box() for part in parts)
    assert frame["x"] - around["x"] == pytest.approx(around["width"] / 3, abs=2)
    assert frame["width"] == pytest.approx(around["width"] / 3, abs=4)
    session.press("a")
    assert page.inner_text("#enlarger-title") == "tile 00001.png"
    assert page.locator("#enlarger .frame").count() == 0
    session.press("ArrowRight", "k", "r", "k")
    assert page.inner_text("#enlarger .decision") == "Kept: road"
    session.press(" ")
    assert page.locator("#enlarger").is_hidden()
    page.wait_for_function("document.activeElement.dataset.index === '1'")  # a dialog closes later
    assert session.current == "tile 00001.png"
    page.locator("article .zoom").nth(0).click()
    assert page.inner_text("#enlarger-title") == "scene.png#16,16,16,16"


def test_the_map_groups_tiles_and_shows_those_of_a_place(session: Session) -> None:
    page = session.page
    page.click("#map-part summary")
    dots = page.locator("#map .dot")
    assert dots.count() == 2  # not cut at 180°, where half of them lie on the other side
    assert dots.nth(0).get_attribute("aria-label") == "10 tiles, 10 undecided"
    assert "20 tiles without a place" in page.inner_text("#map-told")
    left, right = (float(dots.nth(n).locator("circle").get_attribute("cx") or 0) for n in (0, 1))
    assert left < right  # 179.9° E lies to the west of 179.9° W
    dots.nth(0).focus()
    session.press("ArrowRight", "Enter")
    assert session.shown == "10 of 40 shown"
    assert session.current == "tile 00010.png"
    assert "Place: 10 tiles" in page.inner_text("#place")
    assert page.locator("#map .dot").count() > 1  # the map shows this place alone
    page.click("#map-out")
    assert session.shown == "40 of 40 shown"


def test_decisions_of_somebody_else_are_compared_and_not_taken(
    session: Session, tmp_path: Path
) -> None:
    page = session.page
    page.fill("#reviewer", "Ada")
    page.locator("article").nth(0).focus()
    session.press("a", "a", "s")
    load(
        session,
        tmp_path / "bob.csv",
        f'{BOB}"scene.png#16,16,16,16",road,reject,Bob\ntile 00001.png,water,accept,Bob\n'
        "tile 00002.png,road,reject,Bob\ntile 00003.png,sand,choose,Bob\n",
    )
    assert "1 decision differ" in session.status
    assert session.shown == "1 of 40 shown"
    text = page.inner_text("article .dispute")
    assert "Ada: water" in text
    assert "Bob: road" in text
    saved = {row["tile"]: row["label"] for row in session.saved(tmp_path / "d.csv")}
    assert saved == {"tile 00001.png": "water", "tile 00002.png": "road", "tile 00003.png": "sand"}
    page.reload()
    page.wait_for_selector("article")
    assert "1 in disagreement" in session.status
    session.press("r")
    assert "disagreement" not in session.status
    assert {row["by"] for row in session.saved(tmp_path / "e.csv")} == {"Ada", "Bob"}


def test_whoever_decides_again_changes_their_mind(session: Session, tmp_path: Path) -> None:
    session.page.fill("#reviewer", "Ada")
    session.page.locator("article").nth(1).focus()
    session.press("a")
    load(session, tmp_path / "ada.csv", f"{BOB}tile 00001.png,sand,choose,Ada\n")
    assert "disagreement" not in session.status
    (row,) = session.saved(tmp_path / "d.csv")
    assert row["label"] == "sand"


def test_reading_a_file_can_be_undone(session: Session, tmp_path: Path) -> None:
    session.press("a")
    load(session, tmp_path / "b.csv", f"{BOB}tile 00001.png,sand,choose,Bob\n")
    assert session.status.startswith("2 of 40 decided")
    session.page.locator("article").nth(0).focus()
    session.press("z")
    assert session.status.startswith("1 of 40 decided")


def test_a_page_made_from_two_files_shows_what_they_differ_on(browser: Any, tmp_path: Path) -> None:
    name = "tile 00005.png"
    made = Decision(name, "sand", Rule.CHOOSE, "Ada"), Decision(name, None, Rule.REMOVE, "Bob")
    disputed = Disagreement(name, (Path("a.csv"), Path("b.csv")), made)
    write_page(tmp_path, 8, disagreements=(disputed,))
    opened = Session(browser, tmp_path)
    assert opened.current == name
    assert "Ada: sand · Bob: no class" in opened.page.inner_text("article .dispute")
    opened.press("x")
    assert opened.status.startswith("1 of 8 decided.")
    opened.close()


def test_what_is_left_and_the_next_step_are_said(session: Session) -> None:
    page = session.page
    left = page.inner_text("#left")
    assert "among the 80 labels that nobody decided on: 36 (95% interval 32 to 40)" in left
    assert page.locator("#next").is_hidden()
    session.press(*"aar")
    left = page.inner_text("#left")
    assert "among the 77 labels that nobody decided on: 33 (95% interval 29 to 37)" in left
    assert "You changed 2 of 3 labels" in left
    session.press("Shift+A", "Enter")
    page.click("#remove-all")
    assert page.locator("#next").is_visible()
    assert page.inner_text("#command") == COMMAND


def test_what_was_done_is_said_to_a_screen_reader(session: Session) -> None:
    said = session.page.locator("#said")
    assert (said.get_attribute("role"), said.get_attribute("aria-live")) == ("status", "polite")
    session.press("r")
    assert "Kept: road. 1 of 40 decided" in str(said.text_content())
    session.press("z")
    assert "Undone" in str(said.text_content())
