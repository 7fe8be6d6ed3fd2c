"""What is measured beside rsretrieve: the network alone, and the loop that one writes first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from rsretrieve.data.preprocessing.augmentation import Augmentation
from rsretrieve.data.tile import TileSet
from rsretrieve.enums import Symmetry
from rsretrieve.network.device import autocast, best_precision
from rsretrieve.network.model import PrototypeModel
from rsretrieve.network.network import EmbeddingNetwork
from rsretrieve.training.initialize import starting_model
from rsretrieve.training.losses import MetricLoss, label_log_probability
from rsretrieve.training.recipe import Recipe

IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Case:
    """What is measured.

    Attributes:
        tiles: RGB tiles with labels.
        recipe: network, size, batch and augmentation.
        device: where it computes.
        workers: of the plain loop's DataLoader.
    """

    tiles: TileSet
    recipe: Recipe
    device: torch.device
    workers: int

    def model(self) -> PrototypeModel:
        """An untrained one: its weights do not change how fast it is."""
        model, _ = starting_model(self.recipe, 3, self.tiles.class_names, "none", seed=0)
        return model.to(self.device)


class PlainTiles(Dataset[Any]):
    """Tiles opened by Pillow each time they are asked for, and torchvision's transforms."""

    def __init__(self, case: Case, *, augmented: bool) -> None:
        side, names = case.recipe.size_px, case.tiles.class_names
        self.tiles = case.tiles
        self.labels = [names.index(str(tile.label)) for tile in case.tiles]
        self.transform = transforms.Compose(
            [
                transforms.Resize((side, side)),
                *(_augmentation(case.recipe.augmentation) if augmented else ()),
                transforms.ToTensor(),
                transforms.Normalize(IMAGENET_MEAN, IMAGENET_DEVIATION),
            ]
        )

    def __len__(self) -> int:
        return len(self.tiles)

    def __getitem__(self, position: int) -> tuple[torch.Tensor, int]:
        with Image.open(self.tiles[position].path) as image:
            return self.transform(image.convert("RGB")), self.labels[position]


def _augmentation(amounts: Augmentation) -> Iterator[Any]:
    if amounts.symmetry is not Symmetry.NONE:
        yield transforms.RandomHorizontalFlip()
    if amounts.symmetry is Symmetry.DIHEDRAL:
        yield transforms.RandomVerticalFlip()
    if amounts.zoom or amounts.shift:
        scale = (1 / (1 + amounts.zoom), 1 + amounts.zoom)
        yield transforms.RandomAffine(0, translate=(amounts.shift,) * 2, scale=scale)
    if amounts.grayscale:
        yield transforms.RandomGrayscale(amounts.grayscale)
    jitter = (amounts.brightness, amounts.contrast, amounts.saturation, amounts.hue)
    if any(jitter):
        yield transforms.ColorJitter(*jitter)


def _optimizer(case: Case, model: PrototypeModel) -> torch.optim.Optimizer:
    recipe = case.recipe
    return torch.optim.SGD(
        model.parameters(),
        lr=1e-3,
        momentum=recipe.momentum,
        nesterov=True,
        weight_decay=recipe.weight_decay,
    )


def training_ceiling(case: Case, tiles: int) -> Callable[[], int]:
    """Steps on one batch that is there: forward, loss, backward, optimizer, and nothing else.

    In the number format and the memory layout of rsretrieve.
    """
    model, size = case.model().train(), case.recipe.batch_size
    optimizer, loss_of = _optimizer(case, model), _loss(case)
    pixels, labels = _batch(case, size)
    weights = torch.ones(size, device=case.device)
    precision, steps = best_precision(case.device), max(1, tiles // size)

    def work() -> int:
        for _ in range(steps):
            with autocast(precision, case.device):
                embeddings = model.network(pixels)
            own_log_p = label_log_probability(model.prototypes(embeddings), labels)
            loss = loss_of(own_log_p, weights)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        return steps * size

    return work


def embedding_ceiling(
    case: Case, network: EmbeddingNetwork, size: int, tiles: int
) -> Callable[[], int]:
    """Embedding one batch that is there, in rsretrieve's number format and memory layout."""
    pixels, _ = _batch(case, size)
    precision, steps = best_precision(case.device), max(1, tiles // size)

    def work() -> int:
        for _ in range(steps):
            with torch.inference_mode(), autocast(precision, case.device):
                network(pixels)
        return steps * size

    return work


def _batch(case: Case, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Normalised tiles in channels-last layout, and class numbers."""
    side = case.recipe.size_px
    pixels = torch.randn(size, 3, side, side, device=case.device)
    labels = torch.arange(size, device=case.device) % len(case.tiles.class_names)
    return pixels.contiguous(memory_format=torch.channels_last), labels


def _loss(case: Case) -> MetricLoss:
    return MetricLoss(case.recipe.loss, case.recipe.q, case.recipe.k)


def plain_training(case: Case) -> Callable[[], int]:
    """An epoch of a DataLoader over Pillow, float32, the default layout."""
    model = case.model().to(memory_format=torch.contiguous_format).train()
    optimizer, loss_of = _optimizer(case, model), _loss(case)
    loader = _loader(case, case.recipe.batch_size, augmented=True)

    def work() -> int:
        for pixels, labels in loader:
            log_p = model(pixels.to(case.device))
            own_log_p = label_log_probability(log_p, labels.to(case.device))
            loss = loss_of(own_log_p, torch.ones_like(own_log_p))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return len(case.tiles)

    return work


def plain_embedding(case: Case, size: int) -> Callable[[], int]:
    """One pass of a DataLoader over Pillow, float32, the default layout."""
    network = case.model().to(memory_format=torch.contiguous_format).network.eval()
    loader = _loader(case, size, augmented=False)

    def work() -> int:
        with torch.no_grad():
            for pixels, _ in loader:
                network(pixels.to(case.device)).cpu()
        return len(case.tiles)

    return work


def _loader(case: Case, size: int, *, augmented: bool) -> DataLoader[Any]:
    return DataLoader(
        PlainTiles(case, augmented=augmented),
        min(size, len(case.tiles)),
        shuffle=augmented,
        drop_last=augmented,  # batch norm takes no single tile
        num_workers=case.workers,
        persistent_workers=case.workers > 0,
    )
