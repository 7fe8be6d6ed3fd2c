"""Train and measure all cells of a comparison that are not finished."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rsretrieve._core.atomic_write import sha256_of_json
from rsretrieve._core.locks import only_writer
from rsretrieve.comparison.cell_contexts import CellContexts
from rsretrieve.comparison.cell_report import CellReport
from rsretrieve.comparison.cell_training import CellTraining, train_cell
from rsretrieve.comparison.choice import Cell, Contrast, TrainingChoice
from rsretrieve.comparison.comparison_folder import ComparisonFolder
from rsretrieve.comparison.comparison_result import CellResult, Comparison
from rsretrieve.comparison.test_set import TestSet, measure, read_values, write_values
from rsretrieve.comparison.tile_digest import ImageDigests, TileDigest
from rsretrieve.comparison.training_set import (
    NoisyLabels,
    TrainingSet,
    cells_digest,
    check_choices,
    refuse_test_tiles,
    tiles_of_cell,
)
from rsretrieve.comparison.verdict import DETECTED, check_detected
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.errors import InvalidArgument, TrainingDiverged
from rsretrieve.export.plots import figure_class
from rsretrieve.network.device import choose_device
from rsretrieve.network.metadata import read_description
from rsretrieve.network.model_folder import load_model
from rsretrieve.network.network import check_backbone
from rsretrieve.training.frozen.feature_cache import FeatureCache
from rsretrieve.training.initialize import check_start
from rsretrieve.training.run.identity import weights_digest

FEWEST_SEEDS = 2
_FATE = {True: "are made again", False: "count as unchanged (--overwrite makes them again)"}
_BANDS = 3  # where the tiles decide: every network takes as many


@dataclass(frozen=True)
class ComparisonRequest:
    """What to compare.

    Attributes:
        training: the training tiles.
        test: the test tiles, prepared.
        choices: every combination of the varied values.
        contrasts: which of them are compared.
        output: the folder to write; a comparison that is there is continued.
        seeds: how many seeds, from `first_seed` on.
        first_seed: the first one.
        metric: the figure that is compared.
        detected: the difference that should be detected.
        device: where to train.
        overwrite: make finished cells again whose options, tiles or labels have changed.
        add_files: writes more files into the folder; called at the start.

    Raises:
        InvalidArgument: no difference in 0…1 is to be detected.
    """

    training: TrainingSet
    test: TestSet
    choices: tuple[TrainingChoice, ...]
    contrasts: tuple[Contrast, ...]
    output: Path
    seeds: int = 3
    first_seed: int = 0
    metric: str = "map"
    detected: float = DETECTED
    device: str = "auto"
    overwrite: bool = False
    add_files: Callable[[Path], None] = lambda _: None

    def __post_init__(self) -> None:
        check_detected(self.detected)

    @property
    def cells(self) -> tuple[Cell, ...]:
        """All cells; those of the first seed come first."""
        seeds = range(self.first_seed, self.first_seed + self.seeds)
        return tuple(Cell(choice, seed) for seed in seeds for choice in self.choices)


def run_comparison(request: ComparisonRequest, context: RunContext) -> Comparison:
    """Train and measure every cell that is not finished, and compare.

    Args:
        request: what to compare.
        context: takes tiles that cannot be read, notices and progress.

    Returns:
        The figures of all cells, the differences and the verdict.

    Raises:
        InvalidArgument, LabelsError, WeightsError, …: an option, a labels file or a noise cannot
            be used; found before the first training.
        OutputExists: the output is no comparison, or a finished cell was made with other options.
        OutputBusy: another process is writing it.
    """
    _check(request, context)
    with only_writer(request.output):
        folder = ComparisonFolder.opened(request.output, overwrite=request.overwrite)
        request.output.mkdir(parents=True, exist_ok=True)
        run = _Run(request, folder, CellContexts(context))
        run.check_finished()
        # A refused run has written nothing that finished models name.
        kept = folder.other_models(request.cells if request.overwrite else ())
        run.request = replace(request, training=request.training.listed(request.output, kept))
        folder.save()
        request.add_files(request.output)
        return run.all_cells()


def _check(request: ComparisonRequest, context: RunContext) -> None:
    if request.seeds < FEWEST_SEEDS:
        raise InvalidArgument(
            f"a comparison needs at least {FEWEST_SEEDS} seeds, not {request.seeds}: the figure of "
            "one training says nothing about how much trainings differ by chance"
        )
    choose_device(request.device)
    figure_class()
    ComparisonFolder.opened(request.output)
    for choice in request.choices:
        check_backbone(choice.recipe.backbone)
    _try_networks(request.choices)
    refuse_test_tiles(request.choices, request.test.queries)
    check_choices(request.training, request.choices, context)


def _try_networks(choices: Sequence[TrainingChoice]) -> None:
    """Build every network once: weights that do not fit and sizes that are too small are found."""
    tried = set()
    for choice in choices:
        recipe, bands = choice.recipe, len(choice.bands) or _BANDS
        key = recipe.backbone, recipe.size_px, bands, choice.weights
        if key not in tried:
            tried.add(key)
            check_start(recipe, choice.weights, choice.bands)


class _Run:
    """The work on the cells of one comparison."""

    def __init__(
        self, request: ComparisonRequest, folder: ComparisonFolder, context: CellContexts
    ) -> None:
        self.request, self.folder, self.context = request, folder, context
        self.cache, self.images = FeatureCache(), ImageDigests()
        self.noisy = NoisyLabels(
            folder.labels,
            folder.labels_from,
            self.images,
            overwrite=request.overwrite,
            save=folder.save,
        )
        self._weights: dict[str, str] = {}

    def check_finished(self) -> None:
        """Refuse finished cells that are of another comparison, unless they may be overwritten.

        A notice says what cannot be compared.
        """
        cells = [cell for cell in self.request.cells if self.folder.is_begun(cell)]
        for text in self._unknown(cells):
            self.context.once(text)
        if self.request.overwrite or not cells:
            return
        self.context.context.start_stage("comparing tiles with the earlier run")
        for cell in cells:
            digest = self.digest(cell, *self.tiles_of(cell, self.context.quiet()))
            self.folder.refuse_others(cell, digest, self.request.test.digest)

    def _unknown(self, cells: Sequence[Cell]) -> Iterator[str]:
        """Say for which finished cells it is unknown whether the images have changed."""
        if count := sum(map(self.folder.lacks_images, cells)):
            yield (
                f"{count} finished trainings in {self.folder.path} are of an earlier version, "
                f"which did not record the images: they {_FATE[self.request.overwrite]}"
            )
        test = self.request.test
        sides = (self.request.training.tiles, test.queries, test.gallery or ())
        remote = {t.location for side in sides for t in side if not t.location.local_files}
        if cells and remote:
            yield (
                f"files behind a URL: {len(remote)}; they count as unchanged since the earlier run "
                "(another --output reads them again)"
            )

    def all_cells(self) -> Comparison:
        """Train and measure what is not finished; the results of all."""
        results: list[CellResult] = []
        cells = self.request.cells
        for number, cell in enumerate(cells, 1):
            epochs = cell.choice.recipe.epochs or None
            self.context.context.start_stage(f"[{number}/{len(cells)}] {cell.title}", epochs)
            try:
                results.append(self.one_cell(cell))
            except TrainingDiverged as error:
                self.context.once(
                    f"{cell.title} has no figures, because its training failed: {error.message}"
                )
        request = self.request
        return Comparison(
            request.output,
            request.choices,
            tuple(results),
            request.contrasts,
            request.metric,
            request.detected,
            gallery=max(one.gallery for one in results) if results else 0,
            alone=request.test.gallery is None,
        )

    def one_cell(self, cell: Cell) -> CellResult:
        """The figures of a cell, which is trained and measured if it is not finished."""
        folder, test = self.folder, self.request.test
        context = self.context.of_cell()
        tiles, labels = self.tiles_of(cell, context)
        digest = self.digest(cell, tiles, labels)
        model, path = folder.model(cell), folder.queries(cell)
        if not folder.is_trained(cell, digest):
            folder.begin(cell, digest)
            self.train(cell, tiles, labels, context)
            folder.finish(cell, digest)
        if not folder.is_measured(cell, digest, test.digest):
            loaded = load_model(model, choose_device(self.request.device), context)
            frozen = cell.choice.recipe.trains_head_only
            found = measure(loaded, test, context, self.cache if frozen else None)
            path.parent.mkdir(exist_ok=True)
            write_values(path, found)
            folder.record(cell, digest, test.digest, context.failures, found.gallery)
        report = folder.reports.get(cell.name, CellReport())
        self.context.take_over(context, report.failures_among(self._all_tiles(cell, tiles)))
        seconds = float(read_description(model).training.get("seconds", 0.0))
        searched = len(test.gallery or test.queries) if report.gallery is None else report.gallery
        return CellResult(cell, model, read_values(path), seconds, searched)

    def train(self, cell: Cell, tiles: TileSet, labels: Path | None, context: RunContext) -> None:
        """Train one cell; an interrupted training is continued."""
        sources = {"tiles": list(self.request.training.words) or None, "labels": labels}
        output, device = self.folder.model(cell), self.request.device
        training = CellTraining(cell, tiles, output, device, sources, self.cache)
        # Recorded before the model is there: from then on it counts as finished.
        train_cell(training, context, lambda _: self.folder.report(cell, context.failures))

    def _all_tiles(self, cell: Cell, tiles: TileSet) -> Iterator[Tile]:
        test = self.request.test
        for side in (tiles, cell.choice.validation, test.queries, test.gallery):
            yield from side or ()

    def tiles_of(self, cell: Cell, context: RunContext) -> tuple[TileSet, Path | None]:
        """See `tiles_of_cell`."""
        return tiles_of_cell(cell, self.request.training, self.noisy, self.request.device, context)

    def digest(self, cell: Cell, tiles: TileSet, labels: Path | None) -> TileDigest:
        """What tells the training of a cell from others."""
        choice, validation = cell.choice, cell.choice.validation
        content: dict[str, Any] = {
            "recipe": choice.recipe.to_json(),
            "weights": self._weights_digest(choice.weights),
            "bands": list(map(str, choice.bands)),
            "micro_batches": choice.micro_batches,
            "seed": cell.seed,
            "tiles": cells_digest(tiles),
            "validation": None if validation is None else cells_digest(validation),
        }
        images = self.images.of((*tiles, *(validation or ())))
        return TileDigest(sha256_of_json(content), images)

    def _weights_digest(self, weights: str) -> str:
        if weights not in self._weights:
            self._weights[weights] = weights_digest(weights)
        return self._weights[weights]
