"""The page for everyone: no serious fault by axe-core, keyboard alone, phones, 20,000 cards.

axe-core is an npm package: `npm install --prefix FOLDER axe-core`; then set the environment
variable AXE to `FOLDER/node_modules/axe-core/axe.min.js`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.pages.audit_pages import write_page
from tests.support.pages.browser_pages import Session

pytestmark = pytest.mark.medium

PHONE = {"viewport": {"width": 390, "height": 844}}
STATES = {
    "cards": "",
    "decided": "View.focus(1); act('a'); act('r'); act('x'); act('s'); byId('next').hidden = false",
    "grid": "act('g'); act('0'); act('5'); act('r')",
    "marking": "act('g'); Marks.setOn(true); Marks.toggle(3)",
    "enlarged": "act(' ')",
    "chooser": "act('c')",
    "help": "act('?')",
    "bulk": "act('A')",
    "parts": "for (const part of document.querySelectorAll('details')) part.open = true",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_page(tmp_path_factory.mktemp("access"), 40)


@pytest.fixture(scope="module")
def axe() -> str:
    path = os.environ.get("AXE")
    if path is None:
        pytest.skip("axe-core is not installed (npm install axe-core; its axe.min.js as AXE)")
    return Path(path).read_text(encoding="utf-8")


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(
    browser: Any, folder: Path, axe: str, scheme: str, state: str
) -> None:
    opened = Session(browser, folder, color_scheme=scheme)
    opened.page.evaluate(f"() => {{ {STATES[state]} }}")
    opened.page.evaluate(axe)
    found = opened.page.evaluate("axe.run(document).then(({ violations }) => violations)")
    serious = [
        (each["id"], each["help"], [node["html"] for node in each["nodes"]][:3])
        for each in found
        if each["impact"] in ("serious", "critical")
    ]
    assert serious == []
    opened.close()


@pytest.mark.parametrize("state", ["cards", "grid", "marking", "enlarged", "chooser", "parts"])
def test_nothing_is_wider_than_a_phone(browser: Any, folder: Path, state: str) -> None:
    opened = Session(browser, folder, **PHONE)
    opened.page.evaluate(f"() => {{ {STATES[state]} }}")
    width = opened.page.evaluate("document.documentElement.scrollWidth")
    assert width <= 390
    opened.close()


def test_everything_on_the_way_to_the_command_is_done_by_keys(browser: Any, folder: Path) -> None:
    opened = Session(browser, folder)
    page = opened.page
    opened.press("Tab")  # from the card to its first button
    assert page.evaluate("document.activeElement.dataset.action") == "accept"
    opened.press("Enter")
    assert opened.status.startswith("1 of 40 decided")
    opened.press("Shift+A", "Enter", "z", "?", "Escape", "/")
    assert page.evaluate("document.activeElement.id") == "search"
    page.keyboard.type("tile 0000")
    assert opened.shown == "9 of 40 shown"
    with page.expect_download():
        page.locator("#save").focus()
        opened.press("Enter")
    assert page.locator("#next").is_visible()
    opened.close()


@pytest.mark.slow
@pytest.mark.exhaustive
def test_twenty_thousand_cards_are_few_elements(browser: Any, tmp_path: Path) -> None:
    write_page(tmp_path, 20_000)
    opened = Session(browser, tmp_path)
    page = opened.page
    assert page.locator("article").count() < 150
    opened.press("j", "j", "a")
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    page.locator("article[aria-posinset='20000']").wait_for()
    assert page.locator("article").count() < 150
    opened.press("k")
    assert opened.current == "tile 00002.png"
    opened.press("g", "n", "Shift+A")
    assert opened.status.startswith("28 of 20000 decided")
    page.select_option("#scope", "all")
    opened.press("Shift+A", "Enter")
    assert opened.status.startswith("18000 of 20000 decided")
    page.reload()
    page.wait_for_selector("article")
    assert opened.status.startswith("18000 of 20000 decided")
    opened.close()
