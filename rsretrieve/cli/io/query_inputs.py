"""What `rsretrieve query` is asked for, as it was typed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from rsretrieve.cli import options

if TYPE_CHECKING:
    from rsretrieve.data.dates.periods import DateInterval
    from rsretrieve.data.run_context import RunContext
    from rsretrieve.index.store.folder import IndexStore
    from rsretrieve.search.search import SearchContext


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


def search_context(
    store: IndexStore, model: Path | None, device: str, context: RunContext
) -> SearchContext:
    """What a search needs beside the index; the model is opened when an image is embedded.

    Args:
        store: the index.
        model: `--model`; None for the model that the index names or holds.
        device: `--device`.
        context: of the run.
    """
    from rsretrieve.search.search import SearchContext, model_folder_of

    def open_model(images: int) -> Any:
        from rsretrieve.network.metadata import ModelFolder
        from rsretrieve.network.runtime.graph import open_embedding_model

        found = ModelFolder.read(model or model_folder_of(store))
        return open_embedding_model(found, images, device, context)

    return SearchContext(open_model, context, search_device(device))


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


def interval(first: str | None, last: str | None, whole: str | None) -> DateInterval | None:
    """The interval of `--from`, `--to` and `--datetime`; None if none was given."""
    from rsretrieve.data.dates.periods import interval_between, interval_of

    if whole is not None:
        if first is not None or last is not None:
            raise typer.BadParameter(
                "--datetime cannot be combined with --from or --to", param_hint="--datetime"
            )
        return interval_of(whole, "--datetime")
    return None if first is None and last is None else interval_between(first, last)
