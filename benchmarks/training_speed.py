"""How fast training is, beside a plain PyTorch loop, in one run on one device.

The plain loop is what one writes first: a Dataset that opens each tile with Pillow,
torchvision's transforms tile by tile, a DataLoader, float32 in the default layout. Same
network, same loss, same augmentation, same tiles.

    python benchmarks/training_speed.py ../shared/data/ucmerced \
        --weights ../shared/weights/mobilenet_v2_imagenet1k.safetensors
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from rsretrieve.choices import LossName, Validation
from rsretrieve.learning.device import best_precision, choose_device, describe_device
from rsretrieve.learning.losses import own_log_probability, rnsl
from rsretrieve.learning.recipes import PAPER, Recipe
from rsretrieve.learning.starting import starting_model
from rsretrieve.learning.training import Settings, Training
from rsretrieve.learning.validation import Examples
from rsretrieve.progress import EpochFinished, Event
from rsretrieve.tiles.catalog import find_tiles
from rsretrieve.tiles.records import TileSet
from rsretrieve.tiles.statistics import measure_preprocessing
from rsretrieve.tiles.stream import FailureLog, read_into_store

IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Setup:
    """What is measured."""

    tiles: TileSet
    recipe: Recipe
    weights: str
    device: torch.device
    epochs: int

    @property
    def labels(self) -> list[int]:
        """Class numbers."""
        names = self.tiles.class_names
        return [names.index(str(tile.label)) for tile in self.tiles]


class PlainTiles(Dataset[Any]):
    """Tiles opened by Pillow each time they are asked for."""

    def __init__(self, setup: Setup) -> None:
        amounts = setup.recipe.augmentation
        self.tiles, self.labels = setup.tiles, setup.labels
        self.transform = transforms.Compose(
            [
                transforms.Resize((setup.recipe.size_px, setup.recipe.size_px)),
                transforms.RandomGrayscale(amounts.grayscale),
                transforms.ColorJitter(
                    amounts.brightness, amounts.contrast, amounts.saturation, amounts.hue
                ),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize(IMAGENET_MEAN, IMAGENET_DEVIATION),
            ]
        )

    def __len__(self) -> int:
        return len(self.tiles)

    def __getitem__(self, position: int) -> tuple[torch.Tensor, int]:
        with Image.open(self.tiles[position].path) as image:
            return self.transform(image.convert("RGB")), self.labels[position]


def plain_loop(setup: Setup, workers: int) -> float:
    """Tiles per second of the plain loop, the first epoch left out."""
    recipe, names = setup.recipe, setup.tiles.class_names
    model, _ = starting_model(recipe, 3, names, setup.weights, seed=0)
    model = model.to(setup.device, memory_format=torch.contiguous_format).train()
    optimizer = torch.optim.SGD(
        model.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=1e-4
    )
    loader = DataLoader(
        PlainTiles(setup),
        recipe.batch_size,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )

    def epoch() -> None:
        for pixels, labels in loader:
            log_p = model(pixels.to(setup.device))
            loss = rnsl(own_log_probability(log_p, labels.to(setup.device)), recipe.q).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return timed_after_warm_up(epoch, setup)


def timed_after_warm_up(epoch: Callable[[], None], setup: Setup) -> float:
    """Tiles per second of `epochs` epochs after one that does not count."""
    epoch()
    started = time.perf_counter()
    for _ in range(setup.epochs):
        epoch()
    synchronize(setup.device)
    return setup.epochs * len(setup.tiles) / (time.perf_counter() - started)


def synchronize(device: torch.device) -> None:
    """Wait for a GPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def our_loop(setup: Setup, checkpoint: Path) -> tuple[float, float]:
    """Tiles per second of our training, the first epoch left out, and of reading all tiles."""
    preprocessing = measure_preprocessing(setup.tiles, setup.recipe.size_px, imagenet=True)
    started = time.perf_counter()
    store = read_into_store(setup.tiles, preprocessing, FailureLog(strict=True))
    reading = len(setup.tiles) / (time.perf_counter() - started)
    model, _ = starting_model(setup.recipe, 3, setup.tiles.class_names, setup.weights, seed=0)
    finished: list[EpochFinished] = []

    def listen(event: Event) -> None:
        if isinstance(event, EpochFinished):
            finished.append(event)

    precision = best_precision(setup.device)
    settings = Settings(setup.recipe, preprocessing, 0, setup.device, precision)
    examples = Examples(store.pixels, np.array(setup.labels, np.int64))
    training = Training(settings, model, examples, None, listen)
    training.run(checkpoint, {}, resume=False)
    rates = [event.tiles_per_second for event in finished[1:]]
    return len(rates) / sum(1 / rate for rate in rates), reading


def main(
    tiles: Annotated[Path, typer.Argument(help="A folder of RGB tiles in class sub-folders.")],
    weights: Annotated[str, typer.Option(help="imagenet, none or a file.")] = "imagenet",
    backbone: Annotated[str, typer.Option()] = "mobilenet_v2",
    size: Annotated[int, typer.Option(metavar="PX")] = 64,
    batch_size: Annotated[int, typer.Option()] = 256,
    count: Annotated[int, typer.Option(help="How many tiles.")] = 768,
    epochs: Annotated[int, typer.Option(help="How many epochs are timed.")] = 2,
    device: Annotated[str, typer.Option()] = "auto",
) -> None:
    """Print tiles per second of both loops, and their ratio."""
    import tempfile

    found = find_tiles(tiles)
    chosen = found.select(np.linspace(0, len(found) - 1, count).astype(int).tolist())
    recipe = PAPER.changed(
        backbone=backbone,
        size_px=size,
        batch_size=batch_size,
        epochs=epochs + 1,
        loss=LossName.RNSL,
        validation=Validation.PROTOTYPES,
    )
    setup = Setup(chosen, recipe, weights, choose_device(device), epochs)
    print(f"{backbone}, {size} px, batch {batch_size}, {count} tiles, {epochs} epochs timed")
    print(f"device {describe_device(setup.device)}, {torch.get_num_threads()} threads")
    plain = {workers: plain_loop(setup, workers) for workers in (0, 2)}
    for workers, rate in plain.items():
        print(f"plain loop, float32, {workers} DataLoader workers: {rate:8.1f} tiles/s")
    with tempfile.TemporaryDirectory() as folder:
        ours, reading = our_loop(setup, Path(folder) / "checkpoint")
    print(f"rsretrieve, {best_precision(setup.device)}, channels last:  {ours:8.1f} tiles/s")
    print(f"rsretrieve, reading tiles once, before the first epoch: {reading:8.1f} tiles/s")
    print(f"ratio to the faster plain loop: {ours / max(plain.values()):.2f}")


if __name__ == "__main__":
    typer.run(main)
