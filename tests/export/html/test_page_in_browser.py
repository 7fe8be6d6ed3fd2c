"""The page in a real browser: what a person does with it, and what the tool makes of that."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rsretrieve.audit.issue_types import IssueType
from rsretrieve.audit.result import ClassIssues, NoiseMatrix
from rsretrieve.data.tile import Tile
from rsretrieve.export.html.page import write_audit_page
from rsretrieve.export.html.page_request import PageRequest
from tests.support.pages.audits import audit_of, finding
from tests.support.pages.browser_pages import Session

pytestmark = pytest.mark.medium

CARDS = 120
NASTY = "<img src=x onerror=alert(1)>, \"q\" 'é'\n.png"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of 120 cards of two kinds, the first with a nasty name."""
    folder = tmp_path_factory.mktemp("page")
    rows = []
    for number in range(CARDS):
        name = NASTY if number == 0 else f"tile {number:03d}.png"
        path = folder / f"{number}.png"
        Image.fromarray(np.full((16, 16, 3), 2 * number, np.uint8)).save(path)
        kind = IssueType.AMBIGUOUS if number % 3 == 2 else IssueType.WRONG_LABEL
        tile = Tile(name, str(path), "road" if number % 2 else "sand")
        row = finding(tile, "water", issue=True, score=0.1, kind=kind, runner_up_label="forest")
        rows.append(row)
    audit = audit_of(
        *rows,
        per_class=tuple(
            ClassIssues(name, tiles, issues, 0.5, (0.4, 0.6))
            for name, tiles, issues in (("road", 60, 60), ("sand", 60, 60), ("forest", 9, 0))
        ),
        noise_rate=0.5,
        interval=(0.4, 0.6),
        noise_matrix=NoiseMatrix(
            ("road", "sand", "water", "zoo"),
            np.array([[0, 0, 60, 0], [0, 0, 60, 0], [0, 0, 0, 1.0], [0, 0, 0, 0]]),
        ),
    )
    write_audit_page(folder / "audit.html", PageRequest(audit, NASTY), overwrite=False)
    return folder


def test_filter_accept_ten_reload_save_and_apply(
    session: Session, folder: Path, run: Any, tmp_path: Path
) -> None:
    page = session.page
    page.uncheck("input[value=wrong_label]")
    page.select_option("#given", "road")
    assert session.shown == "20 of 120 shown"
    session.press(*"aaaaaaaaaa")
    assert session.status == "10 of 120 decided."
    page.reload()
    page.wait_for_selector("article")
    assert session.status == "10 of 120 decided."
    assert page.locator("article.accept").count() == 5  # of those drawn, the first thirty
    decisions = tmp_path / "decisions.csv"
    rows = session.saved(decisions)
    accepted = [f"tile {number:03d}.png" for number in range(5, 65, 6)]
    assert [(row["tile"], row["label"], row["decision"]) for row in rows] == [
        (name, "water", "accept") for name in accepted
    ]
    labels = {NASTY if n == 0 else f"tile {n:03d}.png": ("sand", "road")[n % 2] for n in range(120)}
    tiles = tmp_path / "tiles.csv"
    with tiles.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("tile", "label"), *labels.items()])
    fixed, log = tmp_path / "fixed.csv", tmp_path / "log.csv"
    ran = run(
        *("audit-labels", tiles, "--decisions", decisions, "--fixed-labels", fixed),
        *("--changes", log, "--json"),
    )
    assert ran.code == 0
    assert [ran.json[name] for name in ("tiles", "decisions", "changed")] == [120, 10, 10]
    with fixed.open(newline="", encoding="utf-8") as stream:
        after = {row["tile"]: row["label"] for row in csv.DictReader(stream)}
    assert after == {**labels, **dict.fromkeys(accepted, "water")}
    with log.open(newline="", encoding="utf-8") as stream:
        assert [row["rule"] for row in csv.DictReader(stream)] == ["accept"] * 10


def test_every_decision_by_keyboard_and_its_undoing(session: Session, tmp_path: Path) -> None:
    page = session.page
    page.fill("#reviewer", "Ada, L.")
    page.locator("#reviewer").press("Tab")
    page.locator("article").nth(0).focus()
    session.press("a", "r", "s", "x", "c")
    page.fill("#chooser-search", "for")
    session.press("Enter")
    session.press("c", "Escape", "a", "k", "u", "ArrowDown", "a")
    rows = session.saved(tmp_path / "d.csv")
    assert [(row["label"], row["decision"]) for row in rows] == [
        ("water", "accept"),
        ("road", "reject"),
        ("sand", "skip"),
        ("", "remove"),
        ("forest", "choose"),
        ("water", "accept"),
    ]
    assert [row["tile"] for row in rows][:2] == [NASTY, "tile 001.png"]
    assert rows[5]["tile"] == "tile 006.png"
    assert {row["by"] for row in rows} == {"Ada, L."}
    assert session.status.startswith("5 of 120 decided.")


def test_the_chooser_names_the_rule_by_what_was_chosen(session: Session, tmp_path: Path) -> None:
    page = session.page
    for wanted in ("water", "road", "for"):
        session.press("c")
        page.fill("#chooser-search", wanted)
        session.press("Enter")
    rows = session.saved(tmp_path / "d.csv")
    assert [row["decision"] for row in rows] == ["accept", "reject", "choose"]


def test_buttons_and_the_matrix_do_what_they_say(session: Session) -> None:
    page = session.page
    page.locator("article").nth(3).locator("button[data-action=reject]").click()
    assert page.locator("article").nth(3).locator(".decision").inner_text() == "Kept: road"
    page.click("summary")
    page.locator("g.cell[data-given=sand]").click()
    assert session.shown == "60 of 120 shown"
    page.select_option("#state", "done")
    assert session.shown == "0 of 120 shown"
    page.click("#clear")
    page.fill("#search", "TILE 01")
    assert session.shown == "10 of 120 shown"


def test_a_cell_whose_pair_has_no_card_shows_none(session: Session) -> None:
    page = session.page
    page.click("summary")
    page.locator("g.cell[data-given=water][data-suggested=zoo]").click()
    assert session.shown == "0 of 120 shown"
    assert page.input_value("#given") == "water"
    page.click("#clear")
    assert session.shown == "120 of 120 shown"


def test_a_class_that_no_tile_has_and_a_new_one_can_be_chosen(
    session: Session, tmp_path: Path
) -> None:
    page = session.page
    for wanted in ("zoo", "green roof", "green"):
        session.press("c")
        page.fill("#chooser-search", f" {wanted} ")
        session.press("Enter")
    session.press("c")
    page.fill("#chooser-search", "roof")
    names = page.locator("#chooser-list button").all_inner_texts()
    assert names == ["green roof", "new class: roof"]
    page.fill("#chooser-search", "water")
    assert page.locator("#chooser-list button").all_inner_texts() == ["water"]
    page.click("text=Cancel")
    rows = session.saved(tmp_path / "d.csv")
    assert [(row["label"], row["decision"]) for row in rows] == [
        ("zoo", "choose"),
        ("green roof", "choose"),
        ("green roof", "choose"),
    ]


def test_cards_are_made_when_they_are_scrolled_to_and_given_up_when_far(session: Session) -> None:
    page = session.page
    assert page.locator("article").count() < CARDS
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    page.locator("article[aria-posinset='120']").wait_for()
    page.locator("article[aria-posinset='31']").wait_for(state="detached")
    assert page.locator("article").count() < CARDS
    page.evaluate("scrollTo(0, 0)")
    page.locator("article[aria-posinset='2']").wait_for()
    missing = page.evaluate(
        "[...document.images].filter(i => i.complete && !i.naturalWidth).length"
    )
    assert missing == 0


def test_saved_decisions_are_read_back(
    session: Session, browser: Any, folder: Path, tmp_path: Path
):
    session.press("a", "r", "x")
    rows = session.saved(tmp_path / "d.csv")
    other = Session(browser, folder)
    assert other.status == "0 of 120 decided."
    other.page.set_input_files("#file", tmp_path / "d.csv")
    other.page.wait_for_selector("article.remove")
    assert other.status == "3 of 120 decided. 3 decisions read from d.csv."
    assert other.saved(tmp_path / "e.csv") == rows
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    other.page.set_input_files("#file", tmp_path / "bad.csv")
    other.page.locator("#status", has_text="cannot be read").wait_for()
    assert "the file has no columns “tile” and “label”" in other.status
    assert other.complaints == []
    other.context.close()


def test_decisions_on_tiles_without_a_card_are_kept_and_saved_along(
    session: Session, tmp_path: Path
) -> None:
    page, earlier = session.page, tmp_path / "earlier.csv"
    earlier.write_text(
        "label,tile,decision,by\n"
        'sand,"gone, 1.png",accept,Ada\nroad,tile 002.png,choose,Ada\n,gone 2.png,remove,\n',
        encoding="utf-8",
    )
    page.set_input_files("#file", earlier)
    page.locator("#status", has_text="read from").wait_for()
    assert session.status == (
        "1 of 120 decided, and 2 on tiles without a card. 3 decisions read from earlier.csv."
    )
    page.reload()
    page.wait_for_selector("article")
    assert session.status == "1 of 120 decided, and 2 on tiles without a card."
    page.locator("article").nth(0).focus()
    session.press("a")
    rows = session.saved(tmp_path / "d.csv")
    assert [(row["tile"], row["label"], row["decision"], row["by"]) for row in rows] == [
        (NASTY, "water", "accept", ""),
        ("tile 002.png", "road", "choose", "Ada"),
        ("gone, 1.png", "sand", "accept", "Ada"),
        ("gone 2.png", "", "remove", ""),
    ]


def test_names_are_shown_as_they_are(session: Session) -> None:
    assert session.page.locator("img[src=x]").count() == 0
    first = session.page.locator("article").nth(0)
    assert NASTY.replace("\n", "\\u000a") in first.locator(".tile").inner_text()


def test_everything_can_be_reached_and_has_a_name(session: Session) -> None:
    unnamed = session.page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, img, [role=button]")]
        .filter(e => !(e.textContent || e.ariaLabel || e.alt || e.labels?.length || e.hidden))
        .map(e => e.outerHTML)"""
    )
    assert unnamed == []
