"""Make the pictures of the README and of the documentation, by running the real commands.

    python tools/make_pictures.py --demo demo --output docs/pictures

Needs the folder of `rsretrieve demo`, which is made if it does not exist, and an installed Chromium
(on the path, or named by CHROMIUM) for the pictures of pages. Writes

- hits.webp: queries and their hits,
- audit-page.webp: the audit page as a browser shows it,
- browse.webp: the app of `rsretrieve browse` after a click on a tile,
- terminal.svg: a recording of three commands.

The picture of the figures, noise-robustness.webp, is made by `benchmarks/noise_robustness.py`.
"""

from __future__ import annotations

import argparse
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from io import StringIO
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
COLUMNS = 110
RECORDED = (
    "rsretrieve audit-labels tiles --labels noisy.csv --page audit.html --quiet",
    "rsretrieve index tiles --output index --quiet",
    "rsretrieve query tiles/beach/beach_0_24.tif --index index -k 3 --exclude-self",
)
ROWS_SHOWN = 8
"""Of each table; the recording says how many lines it leaves out."""


def main() -> None:
    """Make all pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--demo", type=Path, required=True, help="folder of `rsretrieve demo`")
    parser.add_argument("--output", type=Path, required=True, help="folder for the pictures")
    given = parser.parse_args()
    if not (given.demo / "audit.html").is_file():
        program(["demo", "--output", str(given.demo)], Path())
    write_hits(given.demo / "hits.png", given.output / "hits.webp")
    write_recording(given.demo, given.output / "terminal.svg")
    page = (given.demo / "audit.html").absolute().as_uri()
    write_screenshot(page, given.output / "audit-page.webp")
    write_app(given.demo, given.output / "browse.webp")


def write_hits(sheet: Path, output: Path) -> None:
    """The sheet of hits, smaller in bytes."""
    from PIL import Image

    with Image.open(sheet) as picture:
        picture.convert("RGB").save(output, quality=85)


def write_app(demo: Path, output: Path) -> None:
    """The app of `rsretrieve browse`, with hits that are like the tile in the middle of the map."""
    with tempfile.TemporaryDirectory() as work:
        options = ["--audit", str((demo / "audit.csv").absolute()), "--no-open", "--quiet"]
        command = [sys.executable, "-m", "rsretrieve", "browse", str((demo / "index").absolute())]
        serving = subprocess.Popen(
            [*command, *options], stdout=subprocess.PIPE, text=True, cwd=work
        )
        assert serving.stdout is not None
        try:
            write_screenshot(serving.stdout.readline().strip(), output, click="#map")
        finally:
            serving.send_signal(signal.SIGINT)
            serving.wait()


def write_screenshot(address: str, output: Path, click: str = "") -> None:
    """A page in a window of 1,300 × 800 px, after a click on the middle of an element."""
    from PIL import Image
    from playwright.sync_api import sync_playwright

    given = os.environ.get("CHROMIUM")
    path = given or next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if path is None:
        sys.exit("no Chromium on the path; name one by CHROMIUM")
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as work:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        shown = browser.new_page(viewport={"width": 1300, "height": 800})
        shown.goto(address)
        shown.wait_for_timeout(1000)
        if click:
            shown.click("input[value=earth]")
            shown.click(click)
            shown.wait_for_timeout(5000)
        shown.screenshot(path=f"{work}/page.png")
        browser.close()
        with Image.open(f"{work}/page.png") as picture:
            picture.convert("RGB").save(output, quality=85)


def write_recording(demo: Path, output: Path) -> None:
    """Three commands and what they print, as a picture of a terminal."""
    console = Console(record=True, width=COLUMNS, file=StringIO(), color_system="truecolor")
    with tempfile.TemporaryDirectory() as work:
        for name in ("tiles", "noisy.csv"):
            (Path(work) / name).symlink_to((demo / name).absolute())
        for command in RECORDED:
            console.print(Text.assemble(("$ ", "bold green"), command))
            said = program(command.split()[1:], Path(work))
            # The recording names no folder of the machine that made it.
            said = said.replace(str(demo.absolute()), "/home/me/demo")
            for line in shortened(said.splitlines()):
                console.print(Text.from_ansi(line), overflow="ellipsis", no_wrap=True)
            console.print()
    svg = console.export_svg(title="rsretrieve", code_format=without_downloads())
    output.write_text(svg, encoding="utf-8")


def shortened(lines: list[str]) -> list[str]:
    """The lines of a result without the middle of long tables."""
    lines = [line for line in lines if line.strip()]
    if len(lines) <= 2 * ROWS_SHOWN:
        return lines
    left_out = len(lines) - 2 * ROWS_SHOWN
    return [*lines[:ROWS_SHOWN], f"… {left_out} lines …", *lines[-ROWS_SHOWN:]]


def program(arguments: list[str], folder: Path) -> str:
    """Run `rsretrieve ARGUMENTS…` in a terminal of 110 columns; its standard output."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(COLUMNS), "TERM": "xterm-256color"}
    with subprocess.Popen(
        [sys.executable, "-m", "rsretrieve", *arguments],
        cwd=folder, env=environment, stdout=theirs, stderr=subprocess.DEVNULL,
    ) as running:  # fmt: skip
        os.close(theirs)
        printed = b""
        while True:
            try:
                chunk = os.read(ours, 4096)
            except OSError:  # Linux: the program has ended
                break
            if not chunk:
                break
            printed += chunk
    os.close(ours)
    if running.returncode:
        sys.exit(f"rsretrieve {' '.join(arguments)}: exit code {running.returncode}")
    return printed.decode().replace("\r\n", "\n")


def without_downloads() -> str:
    """Rich's picture of a terminal, with the reader's own monospace font."""
    return re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL).replace(
        "font-family: Fira Code, monospace", "font-family: monospace"
    )


if __name__ == "__main__":
    main()
