"""Audit pages in a headless Chromium: what a person does, and what the page complains of."""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


@contextmanager
def chromium() -> Iterator[Any]:
    """A headless Chromium; the test is skipped where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    given = os.environ.get("CHROMIUM")
    path = given or next((found for name in NAMES if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("no Chromium on this machine (its path can be given as CHROMIUM)")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield started
        started.close()


class Session:
    """The page in a browser window of its own, and all that it complained of or asked for."""

    def __init__(self, browser: Any, folder: Path, **choices: Any) -> None:
        choices = {"viewport": {"width": 1280, "height": 900}, **choices}
        self.context = browser.new_context(**choices)
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto((folder / "audit.html").as_uri())
        self.page.wait_for_selector("article")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    @property
    def status(self) -> str:
        return str(self.page.inner_text("#status"))

    @property
    def shown(self) -> str:
        return str(self.page.inner_text("#shown"))

    @property
    def current(self) -> str:
        """The name of the marked tile."""
        return str(self.page.evaluate("CARDS[View.position].tile"))

    def saved(self, path: Path) -> list[dict[str, str]]:
        with self.page.expect_download() as download:
            self.page.click("#save")
        download.value.save_as(path)
        with path.open(newline="", encoding="utf-8") as stream:
            return list(csv.DictReader(stream))

    def close(self) -> None:
        """Close the window; the page must not have complained, nor asked for anything."""
        self.context.close()
        assert self.complaints == []
        assert all(url.startswith(("file:", "data:", "blob:")) for url in self.requests)
