"""Audit pages in a headless Chromium, for benchmarks."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


@contextmanager
def chromium() -> Iterator[Any]:
    """A headless Chromium: that of the environment variable CHROMIUM, or one on the path.

    Raises:
        FileNotFoundError: there is none.
    """
    from playwright.sync_api import sync_playwright

    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        raise FileNotFoundError("no Chromium on the path; its path can be given as CHROMIUM")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield started
        started.close()


class TypedPage:
    """A page in a window of its own; counts the keys.

    Attributes:
        keys: number of keys pressed so far; a chord such as Shift+A counts as two.
    """

    def __init__(self, browser: Any, path: Path) -> None:
        self._context = browser.new_context(viewport={"width": 1280, "height": 900})
        self.page = self._context.new_page()
        self.page.goto(path.absolute().as_uri())
        self.page.wait_for_selector("article")
        self.keys = 0

    def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        for key in keys:
            self.page.keyboard.press(key)
            self.keys += 1 + key.count("+") * (len(key) > 1)

    def decided(self) -> dict[str, str]:
        """Tile → label, as decided on the page so far."""
        found: dict[str, str] = self.page.evaluate(
            "Object.fromEntries([...Decisions.of].map(([p, d]) => [CARDS[p].tile, d.label]))"
        )
        return found

    def close(self) -> None:
        """Close the window."""
        self._context.close()
