"""The bands that weights were trained on, as far as their file says them.

A safetensors file may say them in its metadata, a checkpoint beside its tensors, both under
`bands`. The files of torchgeo (https://github.com/torchgeo/torchgeo) say them by their names alone.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

KEY = "bands"
_BESIDE = ("hyper_parameters", "meta", "metadata", "config", "args")
_MOST, _LONGEST = 1000, 64


def _numbered(count: int, prefix: str = "B") -> tuple[str, ...]:
    return tuple(f"{prefix}{number}" for number in range(1, count + 1))


_SENTINEL2 = (*_numbered(8), "B8A", "B9", "B10", "B11", "B12")
_OF_TORCHGEO = {
    "landsat_tm_toa": _numbered(7),
    "landsat_etm_toa": (*_numbered(5), "B6_VCID_1", "B6_VCID_2", "B7", "B8"),
    "landsat_etm_sr": ("SR_B1", "SR_B2", "SR_B3", "SR_B4", "SR_B5", "SR_B7"),
    "landsat_oli_tirs_toa": _numbered(11),
    "landsat_oli_sr": _numbered(7, "SR_B"),
    "sentinel1_all": ("VV", "VH"),
    "sentinel2_all": _SENTINEL2,
    "sentinel2_rgb": ("B4", "B3", "B2"),
}
_TORCHGEO_NAME = re.compile(rf"[a-z0-9]+_.*?({'|'.join(_OF_TORCHGEO)})_[a-z0-9_]+-[0-9a-f]{{8}}")


def bands_of_weights(path: Path) -> tuple[str, ...]:
    """The names of the bands that weights were trained on, in the order of their input.

    Args:
        path: a file of weights.

    Returns:
        The names; empty if the file does not say them, or cannot be read (which is said when its
        tensors are).
    """
    for said in _said(path):
        names = _names(said)
        if names:
            return names
    found = _TORCHGEO_NAME.fullmatch(path.stem)
    return _OF_TORCHGEO[found[1]] if found else ()


def _said(path: Path) -> Iterator[object]:
    """What a file says under `bands`, unchecked."""
    if not path.is_file():
        return
    try:
        about = _about(path)
    except Exception:  # the readers may raise anything for a damaged file
        return
    for part in (about, *(about.get(name) for name in _BESIDE)):
        if isinstance(part, argparse.Namespace):
            part = vars(part)
        if isinstance(part, Mapping) and KEY in part:
            yield part[KEY]


def _about(path: Path) -> Mapping[str, Any]:
    if path.suffix == ".safetensors":
        from safetensors import safe_open

        with safe_open(path, framework="numpy") as file:
            return dict(file.metadata() or {})
    import torch

    with torch.serialization.safe_globals([argparse.Namespace]):
        content = torch.load(path, map_location="meta", weights_only=True)
    return content if isinstance(content, Mapping) else {}


def _names(said: object) -> tuple[str, ...]:
    """Names from a list, a JSON list or a list separated by commas; empty if it is none."""
    if isinstance(said, str):
        try:
            said = json.loads(said)
        except ValueError:
            said = str(said).split(",")
    if not isinstance(said, list | tuple) or not 0 < len(said) <= _MOST:
        return ()
    if not all(isinstance(name, str) and 0 < len(name.strip()) <= _LONGEST for name in said):
        return ()
    return tuple(name.strip() for name in said)
