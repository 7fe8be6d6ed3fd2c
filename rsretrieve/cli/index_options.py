"""Check the options of `rsretrieve index` together, and build the index goal from them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from rsretrieve.cli import options

if TYPE_CHECKING:
    from rsretrieve.index.vectors.choose_kind import IndexGoal


@dataclass(frozen=True)
class ExternalOptions:
    """The options for embeddings from elsewhere."""

    id_column: str | None = None
    vector_column: str | None = None
    dims: int | None = None
    changes_only: bool = False

    @property
    def given(self) -> list[str]:
        """The names of the options that were given."""
        values = {
            "--id-column": self.id_column,
            "--vector-column": self.vector_column,
            "--dims": self.dims,
            "--changes-only": self.changes_only or None,
        }
        return [name for name, value in values.items() if value is not None]


@dataclass(frozen=True)
class IndexArguments:
    """The arguments that decide what `rsretrieve index` does.

    `for_tiles` names the options that were given and say how TILES are read.
    """

    tiles: list[str] | None
    model: Path | None
    weights: str | None
    backbone: str | None
    from_embeddings: Path | None
    update: bool
    verify: bool
    repair: bool
    export: Path | None
    external: ExternalOptions = ExternalOptions()
    for_tiles: tuple[str, ...] = ()
    overwrite: bool = False

    @property
    def frozen_option(self) -> str:
        """The option that asks for frozen features; empty if there is none."""
        given = {"--weights": self.weights, "--backbone": self.backbone}
        return next((name for name, value in given.items() if value is not None), "")


def check_arguments(arguments: IndexArguments, *, chooses: bool) -> None:
    """End with a usage error if arguments exclude each other, or one is missing.

    Args:
        arguments: the arguments.
        chooses: an option of the index type was given.
    """
    upkeep = arguments.verify or arguments.repair
    modes = [
        name
        for name, given in (
            ("--update", arguments.update),
            ("--verify", arguments.verify),
            ("--repair", arguments.repair),
            ("--from-embeddings", arguments.from_embeddings is not None),
        )
        if given
    ]
    _check_external(arguments)
    if len(modes) > 1 and modes != ["--update", "--from-embeddings"]:
        raise typer.BadParameter(f"{modes[0]} and {modes[1]} cannot be combined")
    if upkeep and (arguments.tiles is not None or arguments.export is not None or chooses):
        raise typer.BadParameter(
            f"{modes[0]} uses only the index of --output: give no TILES, no --export and no "
            "options of the index type"
        )
    if arguments.verify and arguments.overwrite:
        raise typer.BadParameter("--verify writes nothing: give no --overwrite")
    if upkeep and arguments.for_tiles:
        raise typer.BadParameter(
            f"{modes[0]} uses only the index of --output: {arguments.for_tiles[0]} is for TILES"
        )
    _check_frozen(arguments, modes[0] if modes else "")
    wants_tiles = not (upkeep or arguments.from_embeddings is not None)
    only_exports = arguments.export is not None and arguments.tiles is None and not arguments.update
    if wants_tiles and not only_exports:
        if arguments.tiles is None:
            raise typer.BadParameter("missing argument TILES", param_hint="TILES")
    elif only_exports and wants_tiles:
        _check_mere_export(arguments, chooses=chooses)


def _check_mere_export(arguments: IndexArguments, *, chooses: bool) -> None:
    """End with a usage error if an index is to be exported otherwise than as it is."""
    makes = ["--model"] if arguments.model is not None else []
    makes += [name for name in (arguments.frozen_option, *arguments.for_tiles) if name]
    if makes or chooses:
        raise typer.BadParameter(
            "--export without TILES exports the index of --output as it is: give no "
            f"{makes[0] if makes else '--model'} and no options of the index type"
        )


def _check_frozen(arguments: IndexArguments, mode: str) -> None:
    """End with a usage error if a pre-trained network was asked for where one is given already."""
    option = arguments.frozen_option
    if option and arguments.model is not None:
        raise typer.BadParameter(f"--model and {option} cannot be combined")
    if option and mode:
        raise typer.BadParameter(f"{mode} and {option} cannot be combined")


def _check_external(arguments: IndexArguments) -> None:
    """End with a usage error if options for embeddings from elsewhere make no sense."""
    given = arguments.external.given
    if given and arguments.from_embeddings is None:
        raise typer.BadParameter(f"{given[0]} needs --from-embeddings")
    if arguments.external.changes_only and not arguments.update:
        raise typer.BadParameter("--changes-only needs --update")
    if arguments.from_embeddings is not None and arguments.model is not None:
        raise typer.BadParameter("--from-embeddings and --model cannot be combined")


def goal_of_options(
    faiss_key: str | None,
    recall: float | None,
    memory: str | None,
    *,
    append_only: bool,
    updated: Path | None = None,
) -> IndexGoal | None:
    """The goal of the index; None if no option was given.

    What is not given stays as it was for the index `updated`, which is to be updated.
    """
    chosen = {
        "key": faiss_key,
        "recall": recall,
        "memory_bytes": None if memory is None else options.parse_bytes(memory, "--memory"),
        "append_only": append_only or None,
    }
    given = {name: value for name, value in chosen.items() if value is not None}
    if not given:
        return None
    from rsretrieve.index.store.kept_goal import asked_goal

    return asked_goal(given, updated)
