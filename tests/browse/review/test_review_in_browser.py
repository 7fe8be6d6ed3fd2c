"""The review in a browser: the page of an audit, whose decisions lie in a file at once."""

from __future__ import annotations

import csv
import os
import time
from pathlib import Path
from typing import Any

import pytest

from rsretrieve.audit.decisions.saved_decisions import read_decisions
from tests.browse.conftest import TOKEN
from tests.support.pages.served_pages import opened_page, served_index

pytestmark = pytest.mark.slow
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync_api.expect


@pytest.fixture
def served(index_folder, audit_file, tmp_path):
    with served_index(index_folder, tmp_path, "--audit", str(audit_file)) as address:
        yield address


@pytest.fixture
def page(served):
    with opened_page(f"{served}review") as opened:
        opened.wait_for_selector("article")
        yield opened


def labels(path: Path, count: int) -> dict[str, str | None]:
    """The labels that were decided, as soon as there are so many."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        found = read_decisions(path).decisions if path.exists() and rows(path) else ()
        if len(found) == count:
            return {decision.tile_id: decision.label for decision in found}
        time.sleep(0.05)
    raise AssertionError(f"{path} has not {count} decisions")


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def press(page: Any, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def test_every_decision_is_in_the_file_at_once(page, tmp_path):
    file = tmp_path / "index-decisions.csv"
    page.fill("#reviewer", "Ada")
    page.locator("article").first.click()
    press(page, "a", "r", "x", "s")
    assert labels(file, 4) == {
        "tile 01.png": "class 2",
        "tile 02.png": "class 2",
        "tile 03.png": None,
        "tile 04.png": "class 1",
    }
    first = rows(file)[0]
    assert (first["decision"], first["given_label"], first["by"]) == ("accept", "class 1", "Ada")
    press(page, "z", "z")
    assert set(labels(file, 2)) == {"tile 01.png", "tile 02.png"}
    expect(page.locator("#left")).to_contain_text("the sum of the probabilities in audit.csv")


def test_what_is_kept_is_there_again_and_the_next_start_goes_on(index_folder, audit_file, tmp_path):
    options = ("--audit", str(audit_file))
    with (
        served_index(index_folder, tmp_path, *options) as first,
        opened_page(f"{first}review") as page,
    ):
        page.locator("article").first.click()
        press(page, "a", "b")
        kept = labels(tmp_path / "index-decisions.csv", 2)
        assert kept["tile 02.png"] == "class 1"
        page.reload()
        expect(page.locator("#status")).to_contain_text("2 of 11 decided")
        expect(page.locator("article.current")).to_have_attribute("data-position", "2")
    with (
        served_index(index_folder, tmp_path, *options) as again,
        opened_page(f"{again}review") as other,
    ):
        expect(other.locator("#status")).to_contain_text("2 of 11 decided")


def test_bulk_acts_marks_and_undo_reach_the_file(page, tmp_path):
    file = tmp_path / "index-decisions.csv"
    press(page, "g")
    expect(page.locator(".cell")).to_have_count(11)
    press(page, "m", "q")
    expect(page.locator(".marked")).to_have_count(1)
    press(page, "Enter")
    decided = labels(file, 10)
    assert decided["tile 01.png"] == "class 1"
    assert decided["tile 02.png"] == "class 0"
    assert "tile 10.png" not in decided
    press(page, "Escape", "Shift+X")
    assert labels(file, 11)["tile 10.png"] is None
    expect(page.locator("#next")).to_be_visible()
    assert str(file) in page.inner_text("#command")
    press(page, "z", "z")
    expect(page.locator("#status")).to_contain_text("0 of 11 decided")
    end = time.monotonic() + 10
    while rows(file) and time.monotonic() < end:
        time.sleep(0.05)
    assert rows(file) == []


def test_pictures_and_tiles_to_compare_with_come_when_they_are_shown(page):
    expect(page.locator("article .zoom img").first).to_have_js_property("naturalWidth", 384)
    strips = page.locator("article").first.locator(".compare .strip")
    expect(strips).to_have_count(2)
    expect(strips.first.locator("img")).to_have_count(3)
    expect(strips.first.locator("img").first).to_have_js_property("naturalWidth", 96)
    press(page, " ")
    expect(page.locator("#enlarger img.full")).to_have_js_property("naturalWidth", 768)
    expect(page.locator("#enlarger .strip")).to_have_count(2)


def test_similar_tiles_are_searched_and_the_way_back_leads_to_the_card(page):
    page.locator("article").first.click()
    press(page, "j", "j", "f")
    expect(page.locator("#what")).to_have_text("Like tile 03.png")
    expect(page.locator(".card").first).to_contain_text("tile 03.png")
    page.go_back()
    expect(page.locator("article.current")).to_have_attribute("data-position", "2")
    page.get_by_role("link", name="Index").click()
    expect(page.get_by_role("link", name="Review 11 labels")).to_be_visible()


def test_the_map_shows_the_tiles_that_have_a_place(page):
    page.get_by_text("Map", exact=True).click()
    expect(page.locator("#map .dot").first).to_be_visible()
    expect(page.locator("#map-told")).to_contain_text("11 tiles")


def test_the_file_of_a_colleague_is_merged_and_loses_nothing(page, tmp_path):
    file, theirs = tmp_path / "index-decisions.csv", tmp_path / "bob.csv"
    page.fill("#reviewer", "Ada")
    page.locator("article").first.click()
    press(page, "a")
    labels(file, 1)
    theirs.write_text(
        "tile,label,decision,given_label,suggested_label,kind,by,at\n"
        "tile 01.png,class 1,reject,class 1,class 2,wrong_label,Bob,\n"
        "tile 05.png,class 0,accept,class 2,class 0,wrong_label,Bob,\n"
        "far.png,road,choose,water,,,Bob,\n"
        "bad.png,road,remove,water,,,Bob,\n"
    )
    page.set_input_files("#file", theirs)
    expect(page.locator("#status")).to_contain_text("contradict themselves")
    decided = labels(file, 3)
    assert decided == {"tile 01.png": "class 2", "tile 05.png": "class 0", "far.png": "road"}
    expect(page.locator("article")).to_have_count(1)
    press(page, "r")
    end = time.monotonic() + 10
    while labels(file, 3)["tile 01.png"] != "class 1" and time.monotonic() < end:
        time.sleep(0.05)
    assert labels(file, 3)["tile 01.png"] == "class 1"


def test_a_file_that_was_loaded_is_undone_in_the_file_of_decisions_too(page, tmp_path):
    file, theirs = tmp_path / "index-decisions.csv", tmp_path / "bob.csv"
    theirs.write_text("tile,label,by\nfar.png,road,Bob\ntile 05.png,class 0,Bob\n")
    page.set_input_files("#file", theirs)
    assert labels(file, 2) == {"far.png": "road", "tile 05.png": "class 0"}
    press(page, "z")
    end = time.monotonic() + 10
    while rows(file) and time.monotonic() < end:
        time.sleep(0.05)
    assert rows(file) == []


def test_a_decision_that_cannot_be_kept_is_said(served, tmp_path):
    file = tmp_path / "index-decisions.csv"
    with opened_page(f"{served}review", expected="400") as page:
        page.wait_for_selector("article")
        page.locator("article").first.click()
        press(page, "a")
        labels(file, 1)
        os.utime(file, ns=(1, 1))
        press(page, "a")
        expect(page.locator("#status")).to_contain_text("another program")
        assert len(rows(file)) == 1


@pytest.mark.parametrize("width", [380, 1280])
def test_nothing_is_wider_than_the_window(page, width):
    page.set_viewport_size({"width": width, "height": 700})
    for key in ("g", "g"):
        press(page, key)
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_token_is_needed(served):
    assert TOKEN not in served
    other = served.rstrip("/").rpartition("/")[0]
    with opened_page(served, other, expected="403") as page:
        assert page.goto(f"{other}/wrong/review").status == 403


@pytest.fixture
def axe():
    """The script of axe-core. It is asked for before a program is started."""
    path = os.environ.get("AXE")
    if path is None:
        pytest.skip("axe-core is not installed (npm install axe-core; its axe.min.js as AXE)")
    return Path(path).read_text(encoding="utf-8")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(axe, served, scheme):
    # The page's policy would keep the script of axe out.
    with opened_page(f"{served}#like=3", bypass_csp=True, color_scheme=scheme) as page:
        page.locator(".card").first.wait_for()
        assert faults(page, axe) == []
        page.goto(f"{served}review")
        page.locator(".strip").first.wait_for()
        assert faults(page, axe) == []
        for keys in ("g", "m", " "):
            press(page, keys)
            assert faults(page, axe) == []


def faults(page: Any, axe: str) -> list[str]:
    """The serious faults that axe-core finds."""
    page.evaluate(axe)
    found = page.evaluate("() => axe.run()")["violations"]
    return [one["id"] for one in found if one["impact"] in ("serious", "critical")]
