"""What the arguments of `rsretrieve index` mean together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from rsretrieve.cli import options

if TYPE_CHECKING:
    from rsretrieve.index.vectors.choose_kind import IndexGoal


@dataclass(frozen=True)
class Asked:
    """The arguments that decide what is done."""

    tiles: str | None
    model: Path | None
    from_embeddings: Path | None
    update: bool
    verify: bool
    repair: bool
    export: Path | None


def refuse_nonsense(asked: Asked, *, chooses: bool) -> None:
    """End with a usage error where arguments do not go together, or one is missing."""
    upkeep = asked.verify or asked.repair
    modes = [
        name
        for name, given in (
            ("--update", asked.update),
            ("--verify", asked.verify),
            ("--repair", asked.repair),
            ("--from-embeddings", asked.from_embeddings is not None),
        )
        if given
    ]
    if len(modes) > 1:
        raise typer.BadParameter(f"{modes[0]} and {modes[1]} cannot be given together")
    if upkeep and (asked.tiles is not None or asked.export is not None or chooses):
        raise typer.BadParameter(
            f"{modes[0]} looks at the index of --output alone: no TILES, no --export, and nothing "
            "to choose"
        )
    if asked.from_embeddings is not None and asked.model is not None:
        raise typer.BadParameter("--from-embeddings needs no --model: its vectors are there")
    wants_tiles = not (upkeep or asked.from_embeddings is not None)
    only_exports = asked.export is not None and asked.tiles is None and not asked.update
    if wants_tiles and not only_exports:
        if asked.tiles is None:
            raise typer.BadParameter("TILES are missing", param_hint="TILES")
        if asked.model is None:
            raise typer.BadParameter("the model is missing", param_hint="--model")
    elif only_exports and wants_tiles and (chooses or asked.model is not None):
        raise typer.BadParameter("--export without TILES writes the index of --output as it is")


def goal_of_options(
    faiss_key: str | None, recall: float | None, memory: str | None, *, append_only: bool
) -> IndexGoal | None:
    """What the index is to be; None where nothing was said."""
    from rsretrieve.index.vectors.choose_kind import IndexGoal

    chosen = {
        "key": faiss_key,
        "recall": recall,
        "memory_bytes": None if memory is None else options.parse_bytes(memory, "--memory"),
        "append_only": append_only or None,
    }
    given = {name: value for name, value in chosen.items() if value is not None}
    return IndexGoal(**given) if given else None  # type: ignore[arg-type]
