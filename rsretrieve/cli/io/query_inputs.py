"""What `rsretrieve query` is asked for, as it was typed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rsretrieve.cli import options

if TYPE_CHECKING:
    from rsretrieve.index.store.folder import IndexStore


def files_of(examples: list[str]) -> dict[str, str]:
    """The files that examples may name, without their window and weight."""
    names = {name for text in examples for name in (text, text.rpartition("@")[0]) if name}
    return {f"the query {name}": name.partition("#")[0] or name for name in names} | {
        f"the query {name} ": name for name in names
    }


def point(text: str) -> tuple[float, float]:
    """The longitude and latitude of `--at`."""
    lon, lat = options.parse_numbers(text, "--at", float, 2)
    return lon, lat


def box(text: str) -> tuple[float, float, float, float]:
    """West, south, east and north of `--bbox`."""
    west, south, east, north = options.parse_numbers(text, "--bbox", float, 4)
    return west, south, east, north


def search_device(name: str) -> str:
    """The device for a search without a model. Only a named GPU needs PyTorch."""
    if name in ("auto", "cpu"):
        return "cpu"
    from rsretrieve.network.device import choose_device

    return str(choose_device(name))


def require_given_model(store: IndexStore, model: Path | None) -> None:
    """Check that a model that was given is that of the index, even if it is not needed.

    Raises:
        ModelMismatch: it is another.
    """
    if model is None:
        return
    from rsretrieve.index.compatibility import require_same_model
    from rsretrieve.network.metadata import ModelFolder, read_description

    described = ModelFolder(model, read_description(model))
    require_same_model(store.folder, store.manifest, described)
