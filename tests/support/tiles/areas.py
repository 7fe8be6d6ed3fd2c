"""GeoJSON files and polygons for the tests of places."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np


def area_file(folder: Path, content: Any) -> Path:
    path = folder / "area.geojson"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def polygon(west: float, south: float, east: float, north: float) -> dict[str, Any]:
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


def ring(count: int, noise: float = 0.0, seed: int = 0) -> list[list[float]]:
    """A star of `count` corners around 0, 0."""
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False)
    radii = 1 + noise * np.random.default_rng(seed).random(count)
    corners = np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1).tolist()
    return [*corners, corners[0]]


def parts_of(count: int) -> list[Any]:
    """Little squares, side by side."""
    return [polygon(i % 300, i // 300 - 80, i % 300 + 0.5, i // 300 - 79.5) for i in range(count)]
