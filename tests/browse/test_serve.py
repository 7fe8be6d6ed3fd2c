"""The page in a browser, served by the program itself."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browse.conftest import COUNT

pytestmark = pytest.mark.slow
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync_api.expect
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


@pytest.fixture
def served(index_folder: Path, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The address of the page, and the folder that the program was started in."""
    audit = tmp_path / "audit.csv"
    audit.write_text(
        "tile,given_label,predicted_label,is_label_issue,issue_probability\n"
        "tile 04.png,class 1,class 2,True,0.9\n"
    )
    command = [sys.executable, "-m", "rsretrieve", "browse", str(index_folder), "--no-open"]
    command += ["--audit", str(audit)]
    program = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path)
    assert program.stdout is not None
    address = program.stdout.readline().strip()
    yield address, tmp_path
    program.send_signal(signal.SIGINT)
    program.communicate(timeout=30)
    assert program.returncode == 0


@pytest.fixture
def page(served: tuple[str, Path]) -> Iterator[Any]:
    """The page in a headless Chromium; no error and no request elsewhere is allowed."""
    given = os.environ.get("CHROMIUM")
    path = given or next((found for name in NAMES if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("no Chromium on this machine (its path can be given as CHROMIUM)")
    address, _ = served
    errors: list[str] = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        opened = browser.new_page(viewport={"width": 1200, "height": 800})
        opened.on("console", lambda said: errors.append(f"{said.type}: {said.text}"))
        opened.on("pageerror", lambda error: errors.append(str(error)))
        opened.on("request", lambda request: errors.extend(elsewhere(request.url, address)))
        opened.goto(address)
        expect(opened.locator("#count")).to_contain_text("tiles", timeout=60_000)
        expect(opened.locator("#status")).to_have_text("")
        yield opened
        browser.close()
    assert errors == []


def elsewhere(url: str, address: str) -> list[str]:
    return [] if url.startswith((address, "data:", "blob:")) else [url]


def click_a_point(page: Any) -> None:
    """Click here and there until a tile is hit."""
    place = page.locator("#map").bounding_box()
    for share in range(5, 96, 2):
        for height in (30, 40, 50, 60, 70):
            page.mouse.click(
                place["x"] + place["width"] * share / 100,
                place["y"] + place["height"] * height / 100,
            )
            if page.locator(".card").count():
                return
            page.wait_for_timeout(20)


def test_a_click_finds_similar_tiles_and_answers_refine_the_search(page, served):
    click_a_point(page)
    page.wait_for_selector(".card")
    assert page.locator(".card").count() == COUNT
    page.locator(".card").nth(0).get_by_role("button", name="Yes").click()
    page.locator(".card").nth(5).get_by_role("button", name="No").focus()
    page.keyboard.press("n")
    expect(page.locator(".card.no")).to_have_count(1)
    kept = served[1] / "index-answers.csv"
    assert kept.read_text().count("yes") == kept.read_text().count(",no") == 1
    page.get_by_role("button", name="Search with these answers").click()
    expect(page.locator("#what")).to_have_text("Like your answers")
    expect(page.locator(".card.yes")).to_have_count(1)
    page.get_by_role("button", name="Take all answers back").click()
    expect(page.locator(".card.yes")).to_have_count(0)
    assert kept.read_text() == "tile,answer\n"


def test_labels_are_reviewed(page, served):
    page.get_by_role("button", name="Review 1 label").click()
    page.get_by_role("button", name="Set class 2").click()
    expect(page.locator("#status")).to_contain_text("1 label decided")
    assert (served[1] / "index-labels.csv").read_text() == "tile,label\ntile 04.png,class 2\n"


def test_all_tiles_of_a_kind_are_found(page, served):
    click_a_point(page)
    page.locator(".card").nth(0).get_by_role("button", name="Yes").click()
    page.get_by_role("button", name="Find all of this kind").click()
    expect(page.locator("#what")).to_have_text("Are these of the kind?")
    assert page.locator(".card").count() == 10
    for number in range(10):
        page.locator(".card").nth(number).locator("button").nth(1).focus()
        page.keyboard.press("y" if number % 3 else "n")
    expect(page.get_by_role("button", name="Next tiles")).to_be_focused()
    page.get_by_role("button", name="Next tiles").click()
    expect(page.locator("#estimate")).to_contain_text("95 % interval")
    assert "--session index.session.json" in page.locator("#find-command").text_content()
    assert (served[1] / "index.session.json").exists()
    page.get_by_role("button", name="Show the found tiles").click()
    expect(page.locator("#what")).to_contain_text("found tiles")
    assert page.locator(".card.yes").count() == 0
    assert page.locator(".card").count() >= 6


def test_a_picture_is_enlarged_and_a_wrong_place_is_said(page):
    page.get_by_label("Place (longitude").fill("somewhere")
    page.get_by_role("button", name="Search at the place").click()
    assert "degrees" in page.locator("#status").text_content()
    page.get_by_role("button", name="Review 1 label").click()
    page.locator(".card .picture").click()
    expect(page.locator("#large-picture")).to_have_js_property("naturalWidth", 768)
    page.keyboard.press("Escape")
    assert not page.locator("#large").is_visible()


def test_a_selection_shows_its_tiles(page):
    page.get_by_role("radio", name="places").check()
    page.get_by_role("radio", name="select").check()
    box = page.locator("#map").bounding_box()
    corners = [(0.02, 0.02), (0.98, 0.02), (0.98, 0.98), (0.02, 0.98)]
    points = [(box["x"] + a * box["width"], box["y"] + b * box["height"]) for a, b in corners]
    page.mouse.move(*points[0])
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*point, steps=3)
    page.mouse.up()
    page.wait_for_selector(".card")
    assert page.locator("#what").text_content() == f"{COUNT - 5} tiles of the selection"


def test_it_works_at_the_width_of_a_phone(page):
    page.set_viewport_size({"width": 380, "height": 700})
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 380
