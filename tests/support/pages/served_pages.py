"""Pages that `rsretrieve browse` serves, in a headless Chromium."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.pages.browser_pages import chromium


@contextmanager
def served_index(index: Path, folder: Path, *options: str) -> Iterator[str]:
    """The address of an index that the program serves, started in a folder."""
    command = [sys.executable, "-m", "rsretrieve", "browse", str(index), "--no-open", *options]
    program = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder)
    assert program.stdout is not None
    address = program.stdout.readline().strip()
    try:
        yield address
    finally:
        program.send_signal(signal.SIGINT)
        try:
            program.communicate(timeout=30)
        finally:
            program.kill()  # if it did not end: the test fails, and no later one
            program.communicate()
    assert program.returncode == 0


@contextmanager
def opened_page(address: str, *allowed: str, expected: str = "", **choices: Any) -> Iterator[Any]:
    """A page that may complain of nothing, and ask nobody but the program.

    Args:
        address: of the page.
        allowed: beginnings of other addresses that it may ask.
        expected: part of a complaint that it may have.
        choices: of the window, for Playwright.
    """
    errors: list[str] = []
    choices = {"viewport": {"width": 1200, "height": 800}, **choices}
    known = (address[: address.rindex("/") + 1], "data:", "blob:", *allowed)

    def check(request: Any) -> None:
        if not request.url.startswith(known):
            errors.append(request.url)

    with chromium() as browser:
        context = browser.new_context(**choices)
        page = context.new_page()
        page.on("console", lambda said: errors.append(f"{said.type}: {said.text}"))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("dialog", lambda dialog: errors.append(dialog.message))
        page.on("request", check)
        page.goto(address)
        yield page
        context.close()
    complaints = [error for error in errors if not expected or expected not in error]
    assert not complaints, complaints
