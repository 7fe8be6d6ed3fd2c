"""Compare the methods of a cell as `rsretrieve compare` compares them: paired, with a verdict.

All seeds have the split of the cell's seed, so that all models answer the same queries. In the
grid, each seed has a split of its own; its rows say how much a figure varies with the split, too.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import typer

from grid.cells import Cell, Method
from grid.data import Place, cell_folder, list_files, model_that_errs, split_lists, table_of
from grid.noises import Noise
from grid.training import choice_of, trained_model
from rsretrieve.comparison.choice import TrainingChoice, contrasts_of
from rsretrieve.comparison.comparison_result import Comparison
from rsretrieve.comparison.report import markdown, write_reports
from rsretrieve.comparison.run_comparison import ComparisonRequest, run_comparison
from rsretrieve.comparison.test_set import prepare_test
from rsretrieve.comparison.training_set import without_test_tiles
from rsretrieve.data.labels.noise_choice import NoiseChoice
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.enums import NoiseKind
from rsretrieve.progress import Event, Noticed, StageStarted

# The first one is what the others are compared with.
COMPARED = (Method.PAPER_T_RNSL, Method.PAPER_RNSL, Method.PAPER_NSL, Method.ROBUST)
AS_IN_CORRUPT_LABELS = (Noise.UNIFORM, Noise.TABLE, Noise.INSTANCE)


def compared(cell: Cell, place: Place, output: Path, seeds: int) -> Comparison:
    """Train the methods that are options of `train`, and say which is better.

    Args:
        cell: the data set, the noise and the length of the trainings; its method does not count.
        place: where to read and work.
        output: the folder of the comparison; one that is there is continued.
        seeds: how many, from that of the cell on.
    """
    context = RunContext(strict=True, listener=_say)
    train, validation, test = split_lists(cell, place)
    prepared = prepare_test(test, train, context)
    words = [str(list_files(cell, place)[0])]
    choices = choices_of(cell, place, validation)
    request = ComparisonRequest(
        without_test_tiles(train, words, prepared.queries, context),
        prepared,
        choices,
        tuple(contrasts_of(choices)),
        output,
        seeds=seeds,
        first_seed=cell.seed,
        device=place.device,
    )
    found = run_comparison(request, context)
    write_reports(found)
    return found


def choices_of(cell: Cell, place: Place, validation: TileSet) -> tuple[TrainingChoice, ...]:
    """What is compared: each method, with the noise of the cell."""
    noise = noise_of(cell, place)
    cells = (replace(cell, method=method) for method in COMPARED)
    return tuple(replace(choice_of(one, place, validation), noise=noise) for one in cells)


def noise_of(cell: Cell, place: Place) -> NoiseChoice | None:
    """The noise of a cell as `compare --noise` takes it; None without one."""
    if not cell.rate:
        return None
    if cell.noise not in AS_IN_CORRUPT_LABELS or cell.dataset.made_up is not None:
        raise typer.BadParameter(f"{cell.noise} on {cell.dataset} is no noise of corrupt-labels")
    if cell.noise is Noise.TABLE:
        return NoiseChoice(NoiseKind.TABLE, cell.rate, table=table_of(cell, place))
    if cell.noise is Noise.UNIFORM:
        return NoiseChoice(NoiseKind.UNIFORM, cell.rate)
    erring = model_that_errs(cell)
    trained_model(erring, place)
    return NoiseChoice(NoiseKind.INSTANCE, cell.rate, model=cell_folder(erring, place))


def report(found: Comparison) -> str:
    """The figures and the verdict, as the folder's `table.md` has them."""
    return "\n".join(markdown(found))


def _say(event: Event) -> None:
    if isinstance(event, StageStarted | Noticed):
        text = event.name if isinstance(event, StageStarted) else event.text
        print(text, file=sys.stderr, flush=True)
