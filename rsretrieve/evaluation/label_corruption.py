"""Make labels wrong on purpose, by any kind of noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rsretrieve.data.labels.fitted_transitions import fitted_transitions
from rsretrieve.data.labels.label_noise import (
    Transitions,
    corrupt_by_table,
    corrupt_uniformly,
    read_transitions,
)
from rsretrieve.data.labels.noise_choice import FROM_MODEL, NoiseChoice
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.enums import NoiseKind
from rsretrieve.errors import InvalidArgument

if TYPE_CHECKING:
    from rsretrieve.network.model import Model


def corrupted_labels(
    tiles: TileSet, noise: NoiseChoice, seed: int, context: RunContext, model: Model | None = None
) -> dict[str, str]:
    """Make a share of the labels wrong.

    Args:
        tiles: the tiles; those without a label are left out.
        noise: how.
        seed: random seed.
        context: receives the tiles that cannot be read, notices and progress.
        model: the model that `noise` names, loaded.

    Returns:
        Tile id → label.

    Raises:
        LabelsError: there are fewer than two classes, or the table has no row for one of them.
        TableError: the table cannot be read.
        NoUsableTiles: a model is needed, and no labelled tile can be read.
    """
    if unlabelled := len(tiles) - len(tiles.labelled()):
        context.notice(f"{unlabelled} tiles have no label and are left out")
    if noise.kind is NoiseKind.UNIFORM:
        return corrupt_uniformly(tiles, noise.rate, seed, exact=noise.exact)
    if noise.table is not None and noise.table != FROM_MODEL:
        transitions = transitions_for(tiles, noise.table, context)
        return corrupt_by_table(tiles, noise.rate, transitions, seed, exact=noise.exact)
    # These load PyTorch.
    from rsretrieve.evaluation.instance_noise import corrupt_with_model
    from rsretrieve.evaluation.model_confusions import transitions_of_model

    if model is None:
        raise InvalidArgument("this kind of label noise needs a model")
    if noise.kind is NoiseKind.INSTANCE:
        return corrupt_with_model(model, tiles, noise.rate, seed, context, exact=noise.exact)
    transitions = transitions_of_model(model, tiles, context)
    return corrupt_by_table(tiles, noise.rate, transitions, seed, exact=noise.exact)


def transitions_for(tiles: TileSet, table: str, context: RunContext) -> Transitions:
    """A published table or one from a file, fitted to the classes of some tiles.

    Args:
        tiles: the tiles.
        table: see `read_transitions`.
        context: receives notices of what was fitted.
    """
    fitted, notices = fitted_transitions(read_transitions(table), tiles.class_names)
    if {*tiles.class_names} <= fitted.keys():  # otherwise an error says so
        for text in notices:
            context.notice(text)
    return fitted
