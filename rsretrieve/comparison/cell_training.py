"""Train the model of one cell: an ordinary model folder, with the options that make it alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from rsretrieve.comparison.choice import Cell
from rsretrieve.data.profile.band_names import band_numbers
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.errors import CheckpointError
from rsretrieve.export.model_card import write_card_and_plot
from rsretrieve.export.run_config import write_config
from rsretrieve.network.device import choose_device
from rsretrieve.training.frozen.feature_cache import FeatureCache
from rsretrieve.training.run.unfinished_training import checkpoint_path, remove_unfinished
from rsretrieve.training.train import TrainingRequest, train_model


@dataclass(frozen=True)
class CellTraining:
    """How the model of one cell is trained.

    Attributes:
        cell: the choice and the seed.
        tiles: the training tiles, with the labels of the cell.
        output: the model folder; a finished one is replaced.
        device: as `train --device` takes it.
        sources: the options of `train` that name the tiles and their labels (`tiles`, `labels`);
            None if no command makes the model alone, and then there is no `config.toml`.
        features: of frozen backbones, known from other cells.
    """

    cell: Cell
    tiles: TileSet
    output: Path
    device: str = "auto"
    sources: Mapping[str, object] | None = None
    features: FeatureCache | None = None

    @property
    def request(self) -> TrainingRequest:
        """The training."""
        choice = self.cell.choice
        return TrainingRequest(
            tiles=self.tiles,
            output=self.output,
            recipe=choice.recipe,
            device=choose_device(self.device),
            validation=choice.validation,
            weights=choice.weights,
            bands=band_numbers(self.tiles, choice.bands),
            seed=self.cell.seed,
            overwrite=self.output.exists(),
            micro_batches=choice.micro_batches,
            features=self.features,
        )

    @property
    def config(self) -> dict[str, object] | None:
        """All options of `train` that make the model alone; None if none do."""
        if self.sources is None:
            return None
        run = {"seed": self.cell.seed, "device": self.device, "output": self.output}
        return self.cell.choice.config({**self.sources, **run})

    @property
    def objects(self) -> tuple[str, ...]:
        """The options of `config` whose tiles no path names."""
        choice = self.cell.choice
        given = self.config or {}
        is_missing = choice.validation is not None and not given.get("val")
        return ("val",) if is_missing else ()


def train_cell(
    training: CellTraining,
    context: RunContext,
    add_files: Callable[[Path], None] = lambda _: None,
) -> None:
    """Train one cell; an interrupted training of the same tiles and options is continued.

    Args:
        training: what to train.
        context: takes tiles that cannot be read, notices and progress.
        add_files: writes more files into the finished folder.

    Raises:
        LabelsError, NoUsableTiles, TrainingDiverged, …: see `train_model`.
    """
    request, config = training.request, training.config

    def add_reports(made: Path) -> None:
        write_card_and_plot(made, str(training.output))
        if config is not None:
            write_config(made, "train", config, objects=training.objects)
        add_files(made)

    checkpoint = checkpoint_path(request.output)
    if checkpoint.exists() and not request.overwrite:
        try:
            train_model(replace(request, resume=True), context, add_reports)
            return
        except CheckpointError:
            remove_unfinished(request.output)  # of other tiles or options
    train_model(request, context, add_reports)
