"""Tiles per second of training and embedding: the ceiling, ours, and a plain loop, in one run.

The ceiling is the network alone on a batch that is already there: for training forward, loss,
backward and optimizer, in the number format and memory layout of rsretrieve; for embedding
also with batch norms folded into convolutions, as rsretrieve does it. Ours is
`train_model` from its second epoch on, and `embed_tiles`, both as the commands call them, the
latter once with its tiles to be decoded and once with what an earlier command decoded. The plain
loop is what one writes first: a Dataset that opens each tile with Pillow, torchvision's
transforms tile by tile, a DataLoader, float32 in the default layout; in a process of its own,
for rsretrieve tells the C library to keep what is free. They take turns, so that other programs
disturb them alike.

    OMP_NUM_THREADS=1 python benchmarks/throughput.py ../shared/data/ucmerced --size 64
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from speed.clocks import Moment, Rates, threads
from speed.contenders import (
    Case,
    embedding_ceiling,
    plain_embedding,
    plain_training,
    training_ceiling,
)
from speed.elsewhere import Elsewhere
from speed.parts import milliseconds_of_parts

from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.run_context import RunContext
from rsretrieve.enums import NO_WEIGHTS, RecipeName
from rsretrieve.index.embed_tiles import BATCH_SIZE, embed_tiles
from rsretrieve.network.device import best_precision, choose_device, describe_device
from rsretrieve.network.embedder import micro_batch_size
from rsretrieve.network.model import Model
from rsretrieve.network.model_folder import load_model
from rsretrieve.network.runtime.malloc import retain_freed_memory
from rsretrieve.progress import Advanced, EpochFinished, Event, StageStarted
from rsretrieve.training.recipe import recipe_for
from rsretrieve.training.train import TrainingRequest, train_model

CEILING, OURS, PLAIN = "the network alone", "rsretrieve", "a plain loop"
FOLDED = "the same, batch norms folded"
EPOCH, CACHED = "its whole epochs", "rsretrieve, tiles in the cache"


class TurnsWithTraining:
    """Hears a training, times its epochs, and lets others have their turn after each.

    Args:
        rates: where rounds are taken down.
        others: what takes its turn, by name.
        plain: what takes its turn last, in another process.
    """

    def __init__(
        self, rates: Rates, others: dict[str, Callable[[], int]], plain: Elsewhere
    ) -> None:
        self.rates, self.others, self.plain = rates, others, plain
        self._start = self._passed = Moment(0, 0)
        self._epoch = self._tiles = self._done = 0

    def __call__(self, event: Event) -> None:
        """Take down an epoch's pass over the tiles, and all of it."""
        if isinstance(event, StageStarted):
            self._tiles, self._done = event.total or 0, 0
            self._start = Moment.now(self.rates.device)
        elif isinstance(event, Advanced):
            self._done += event.tiles
            if self._done == self._tiles:
                self._passed = Moment.now(self.rates.device)
        elif isinstance(event, EpochFinished):
            self._end_epoch(is_warm_up=event.epoch == 1)

    def _end_epoch(self, *, is_warm_up: bool) -> None:
        end = Moment.now(self.rates.device)
        if is_warm_up:
            for work in self.others.values():
                work()
            return
        self.rates.note(OURS, self._tiles, self._start, self._passed)
        self.rates.note(EPOCH, self._tiles, self._start, end)
        for name, work in self.others.items():
            self.rates.measure(name, work)
        self.plain.measure(self.rates, PLAIN)


def measure_training(case: Case, rounds: int, folder: Path) -> tuple[Rates, Model]:
    """Rates of training, and the model that came of it."""
    rates = Rates(case.device)
    others = {CEILING: training_ceiling(case, len(case.tiles))}
    recipe = case.recipe.changed(epochs=rounds + 1)
    request = TrainingRequest(case.tiles, folder, recipe, case.device, weights="none")
    with Elsewhere(case.device, plain_training, case) as plain:
        train_model(
            request, RunContext(strict=True, listener=TurnsWithTraining(rates, others, plain))
        )
    return rates, load_model(folder, case.device)


def measure_embedding(case: Case, rounds: int, model: Model) -> Rates:
    """Rates of embedding, after a warm-up of each."""
    rates = Rates(case.device)
    best = micro_batch_size(case.device, case.recipe.size_px) or BATCH_SIZE
    contenders: dict[str, Callable[[], int]] = {
        CEILING: embedding_ceiling(case, model.network, best, len(case.tiles)),
        FOLDED: embedding_ceiling(case, model.embedder().network, best, len(case.tiles)),
        OURS: lambda: _embedded(model, case, cache_limit="0"),
        CACHED: lambda: _embedded(model, case, cache_limit=""),
    }
    for work in contenders.values():
        work()
    with Elsewhere(case.device, plain_embedding, case, BATCH_SIZE) as plain:
        for _ in range(rounds):
            for name, work in contenders.items():
                with retain_freed_memory():
                    rates.measure(name, work)
            plain.measure(rates, PLAIN)
    return rates


def _embedded(model: Model, case: Case, cache_limit: str) -> int:
    os.environ["RSRETRIEVE_CACHE_SIZE"] = cache_limit
    return len(embed_tiles(model, case.tiles, RunContext(strict=True)).tiles)


def table(rates: Rates, names: tuple[str, ...]) -> str:
    """A row a contender: its rates, and how it stands to the ceiling and to the plain loop."""
    lines = [
        "| | tiles/s | tiles/processor s | to the ceiling | to the plain loop |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {rates.by_wall(name):.1f} | {rates.by_processor(name):.1f} "
        f"| {rates.ratio(name, CEILING):.2f} | {rates.ratio(name, PLAIN):.2f} |"
        for name in names
    ]
    return "\n".join(lines)


def main(
    tiles: Annotated[Path, typer.Argument(help="A folder of RGB tiles in class sub-folders.")],
    network: Annotated[str, typer.Option(help="By torchvision's name.")] = "mobilenet_v2",
    size: Annotated[int, typer.Option(metavar="PX")] = 64,
    recipe: Annotated[RecipeName, typer.Option()] = RecipeName.ROBUST,
    batch_size: Annotated[int | None, typer.Option(help="[default: the recipe's]")] = None,
    count: Annotated[int, typer.Option(help="How many tiles.")] = 320,
    rounds: Annotated[int, typer.Option(help="How many turns each takes.")] = 4,
    device: Annotated[str, typer.Option()] = "auto",
    workers: Annotated[int, typer.Option(help="Of the plain loop's DataLoader.")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print the ratios as JSON.")] = False,
) -> None:
    """Print what each does, the ratios, and where a tile's time goes."""
    found = find_tiles(str(tiles))
    chosen = found.select(np.linspace(0, len(found) - 1, count).astype(int).tolist())
    asked = recipe_for(recipe, NO_WEIGHTS).changed(
        backbone=network, size_px=size, batch_size=batch_size
    )
    case = Case(chosen, asked, choose_device(device), workers)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["RSRETRIEVE_CACHE"] = str(Path(folder) / "cache")
        training, model = measure_training(case, rounds, Path(folder) / "model")
        embedding = measure_embedding(case, rounds, model)
    parts = milliseconds_of_parts(case, model.description.preprocessing)
    if as_json:
        ratios = {
            "training": training.ratio(OURS, CEILING),
            "training_to_plain": training.ratio(OURS, PLAIN),
            "embedding": embedding.ratio(OURS, CEILING),
            "embedding_cached": embedding.ratio(CACHED, CEILING),
            "embedding_cached_to_folded": embedding.ratio(CACHED, FOLDED),
            "embedding_to_plain": embedding.ratio(OURS, PLAIN),
        }
        print(json.dumps({**ratios, "milliseconds": parts}))
        return
    print(
        f"{network}, {size} px, recipe {recipe}, batches of {asked.batch_size}, {count} tiles, "
        f"{rounds} rounds, {describe_device(case.device)}, {best_precision(case.device)}, "
        f"{threads()}, PyTorch {torch.__version__}"
    )
    print(f"\ntraining\n\n{table(training, (CEILING, OURS, EPOCH, PLAIN))}")
    print(f"\nembedding\n\n{table(embedding, (CEILING, FOLDED, CACHED, OURS, PLAIN))}")
    print(
        f"\nwhere a tile's time goes (ms; the network in training "
        f"{1e3 / training.by_processor(CEILING):.2f}, embedding "
        f"{1e3 / embedding.by_processor(CEILING):.2f})\n"
    )
    print("| " + " | ".join(parts) + " |\n|" + "---|" * len(parts))
    print("| " + " | ".join(f"{value:.3f}" for value in parts.values()) + " |")


if __name__ == "__main__":
    typer.run(main)
