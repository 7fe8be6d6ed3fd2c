"""Audit pages over made-up tiles, for tests in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rsretrieve.audit.decisions.saved_decisions import Disagreement
from rsretrieve.audit.issue_types import IssueType
from rsretrieve.audit.result import Audit, ClassIssues, NoiseMatrix, WrongLabelsLeft
from rsretrieve.audit.result_table import Row
from rsretrieve.data.geo.place import Place
from rsretrieve.data.tile import Tile
from rsretrieve.data.window import Window
from rsretrieve.export.html.page import write_audit_page
from rsretrieve.export.html.page_request import PageRequest, ReviewSettings
from tests.support.pages.audits import audit_of, finding

COMMAND = "rsretrieve audit-labels 'my tiles' --decisions decisions.csv --fixed-labels decided.csv"
CLASSES = ("forest", "road", "sand", "water")


def write_page(folder: Path, cards: int, **more: Any) -> Path:
    """A page of so many cards, all labelled road: water first, then sand; see `row_of`."""
    write_audit_page(
        folder / "audit.html",
        PageRequest(audit_with(folder, cards), "my tiles", most_cards=cards, review=review(**more)),
        overwrite=False,
    )
    return folder


def review(disagreements: tuple[Disagreement, ...] = ()) -> ReviewSettings:
    return ReviewSettings(COMMAND, disagreements=disagreements)


def audit_with(folder: Path, cards: int) -> Audit:
    """All labels are flagged, but every tenth tile is off-topic; the first half has places."""
    pictures(folder)
    rows = [row_of(folder, number, cards) for number in range(cards)]
    return audit_of(
        *rows,
        per_class=tuple(ClassIssues(name, cards, cards // 4, 0.5, (0.4, 0.6)) for name in CLASSES),
        noise_rate=0.5,
        interval=(0.4, 0.6),
        wrong_left=WrongLabelsLeft(2 * cards, 0.9 * cards, (int(0.8 * cards), cards)),
        noise_matrix=NoiseMatrix(CLASSES, np.full((4, 4), 12.0)),
        places={row["tile"].id: place(n, cards) for n, row in enumerate(rows[: cards // 2])},
    )


def pictures(folder: Path) -> None:
    """A picture of a tile, and a scene whose part from (16, 16) to (32, 32) is white."""
    Image.fromarray(np.full((16, 16, 3), 90, np.uint8)).save(folder / "tile.png")
    scene = np.zeros((64, 64, 3), np.uint8)
    scene[16:32, 16:32] = 255
    Image.fromarray(scene).save(folder / "scene.png")


def row_of(folder: Path, number: int, cards: int) -> Row:
    """The first tile is a window of a scene; probabilities fall from 0.99 to 0.4."""
    right = 0.99 - 0.59 * number / max(1, cards - 1)
    tile = Tile(f"tile {number:05d}.png", str(folder / "tile.png"), "road")
    if number == 0:
        tile = Tile("scene.png#16,16,16,16", str(folder / "scene.png"), "road", window())
    suggested = "water" if number < cards // 2 else "sand"
    is_off_topic = number % 10 == 9
    return finding(
        tile,
        suggested,
        issue=not is_off_topic,
        score=round((1 - right) / 2, 4),
        kind=IssueType.OFF_TOPIC if is_off_topic else IssueType.WRONG_LABEL,
        runner_up_label="forest",
        predicted_probability=right,
        suggested_probability=right,
        second_label="forest",
        second_probability=(1 - right) / 4,
    )


def window() -> Window:
    return Window(16, 16, 16, 16)


def place(number: int, cards: int) -> Place:
    """Half of the places lie at 179.9° E and half at 179.9° W."""
    lon = 179.9 if number < cards // 4 else -179.9
    lat = 10 + 0.000001 * number
    corners = ((lon, lat + 0.001), (lon, lat), (lon + 0.001, lat), (lon + 0.001, lat + 0.001))
    return Place("EPSG:4326", (lon, lat, lon + 0.001, lat + 0.001), corners)
