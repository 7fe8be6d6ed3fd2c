"""Draw the badges of the README by what pyproject.toml and the Makefile say, as one SVG file.

    python tools/make_badges.py docs/pictures/badges.svg

They are drawn here, so that the README loads nothing from elsewhere. A test compares the file with
what this script draws.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
HEIGHT, CHARACTER, MARGIN = 20, 6.6, 8
GREY, GREEN, BLUE = "#555", "#2e7d32", "#1565c0"


def facts() -> list[tuple[str, str, str]]:
    """Name, value and colour of each badge."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    version = re.search(r'__version__ = "(.+)"', (ROOT / "rsretrieve/__init__.py").read_text())
    least = re.search(r"--cov-fail-under=(\d+)", (ROOT / "Makefile").read_text(encoding="utf-8"))
    pythons = re.findall(r"Python :: (3\.\d+)", " ".join(project["project"]["classifiers"]))
    if version is None or least is None:
        sys.exit("the version or the least coverage is not where this script looks for it")
    typed = "mypy strict" if project["tool"]["mypy"]["strict"] else "mypy"
    return [
        ("version", version[1], BLUE),
        ("python", f"{pythons[0]} – {pythons[-1]}", BLUE),
        ("licence", project["project"]["license"], BLUE),
        ("types", typed, GREEN),
        ("coverage", f"≥ {least[1]} %", GREEN),
    ]


def drawn(badges: list[tuple[str, str, str]]) -> str:
    """The SVG file."""
    parts, x = [], 0.0
    for name, value, colour in badges:
        for text, fill in ((name, GREY), (value, colour)):
            width = len(text) * CHARACTER + 2 * MARGIN
            middle = f'x="{x + width / 2:.1f}" y="14" text-anchor="middle"'
            parts += [
                f'<rect x="{x:.1f}" width="{width:.1f}" height="{HEIGHT}" fill="{fill}"/>',
                f"<text {middle}>{text}</text>",
            ]
            x += width
        x += 6
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{x:.0f}" height="{HEIGHT}" role="img">'
        '<g font-family="Verdana, DejaVu Sans, sans-serif" font-size="11" fill="#fff">'
    )
    return "\n".join([head, *parts, "</g></svg>\n"])


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(drawn(facts()), encoding="utf-8")
