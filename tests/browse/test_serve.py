"""The page in a browser, served by the program itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from tests.browse.conftest import COUNT
from tests.support.pages.served_pages import opened_page, served_index

pytestmark = pytest.mark.slow
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync_api.expect


@pytest.fixture
def served(index_folder, tmp_path):
    """The address of the page, and the folder that the program was started in."""
    with served_index(index_folder, tmp_path) as address:
        yield address, tmp_path


@pytest.fixture
def page(served):
    """The page in a headless Chromium; no error and no request elsewhere is allowed."""
    with opened_page(served[0]) as opened:
        expect(opened.locator("#count")).to_contain_text("tiles", timeout=60_000)
        expect(opened.locator("#status")).to_have_text("")
        yield opened


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
    page.get_by_label("Place (longitude").fill("11.05, 47.05")
    page.get_by_role("button", name="Search at the place").click()
    page.locator(".card .picture").first.click()
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
    page.get_by_label("Place (longitude").fill("11.05, 47.05")
    page.get_by_role("button", name="Search at the place").click()
    expect(page.locator(".card").first).to_be_in_viewport()


@pytest.fixture
def map_tiles(tmp_path):
    """A base map of the whole world, red in the west and blue in the east, at zoom level 1."""
    for column, colour in enumerate(((255, 0, 0), (0, 0, 255))):
        (tmp_path / "base/1" / str(column)).mkdir(parents=True)
        for row in range(2):
            picture = Image.new("RGB", (256, 256), colour)
            picture.save(tmp_path / f"base/1/{column}/{row}.png")
    return tmp_path / "base"


COLOUR = """() => {
  const canvas = document.getElementById("map");
  const at = [canvas.width - 3, canvas.height - 3, 1, 1];
  return [...canvas.getContext("2d").getImageData(...at).data].slice(0, 3);
}"""


def test_a_base_map_lies_below_the_places(index_folder, tmp_path, map_tiles):
    with (
        served_index(index_folder, tmp_path, "--base-map", str(map_tiles)) as address,
        opened_page(address, expected="willReadFrequently") as page,
    ):
        expect(page.get_by_role("radio", name="places")).to_be_checked()
        wait_until(page, lambda: page.evaluate(COLOUR) == [0, 0, 255])
        assert "leave this machine" not in page.locator("#map-hint").text_content()
        click_a_point(page)
        page.get_by_role("radio", name="similarity").check()
        wait_until(page, lambda: page.evaluate(COLOUR) != [0, 0, 255])
        assert tiles_asked(page) >= 1


def wait_until(page: Any, is_so: Callable[[], bool]) -> None:
    """Wait up to ten seconds; the page's policy forbids Playwright to evaluate conditions in it."""
    for _ in range(100):
        if is_so():
            return
        page.wait_for_timeout(100)
    raise AssertionError("it is not so after ten seconds")


def tiles_asked(page: Any) -> int:
    """How many map tiles the page asked for."""
    names = page.evaluate("performance.getEntriesByType('resource').map(({ name }) => name)")
    return sum("/base/" in name for name in names)


def test_a_base_map_of_a_server_is_asked_for_at_that_server_alone(
    index_folder, tmp_path, map_tiles
):
    content, asked = (map_tiles / "1/1/0.png").read_bytes(), []
    template = "https://tiles.example/{z}/{x}/{y}.png"
    with (
        served_index(index_folder, tmp_path, "--base-map", template) as address,
        opened_page(address, "https://tiles.example/", expected="net::ERR") as page,
    ):

        def answer(route):
            asked.append(route.request.headers.get("referer"))
            route.fulfill(body=content, content_type="image/png")

        page.route("https://tiles.example/**", answer)
        page.reload()
        expect(page.locator("#map-hint")).to_contain_text("requests leave this machine")
        expect(page.locator("#map-hint")).to_contain_text("https://tiles.example")
        wait_until(page, lambda: len(asked) > 0)
        assert set(asked) == {None}
