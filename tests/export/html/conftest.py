"""A browser, and the page of a module's `folder` in a window of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.pages.browser_pages import Session, chromium


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium; the tests are skipped where there is none."""
    with chromium() as started:
        yield started


@pytest.fixture
def session(browser: Any, folder: Path) -> Iterator[Session]:
    """The page; in the end it must not have complained, nor asked for anything."""
    opened = Session(browser, folder)
    yield opened
    opened.close()
