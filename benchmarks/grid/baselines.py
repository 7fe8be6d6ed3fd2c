"""What others would do with the same tiles and labels."""

from __future__ import annotations

import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from grid.cells import Cell
from grid.data import CellTiles, Place
from grid.features import FeatureNetwork
from grid.rival_losses import EarlyLearning, RivalLoop, SmallLoss
from rsretrieve.data.loading.batches import read_into_store
from rsretrieve.data.run_context import RunContext
from rsretrieve.enums import LossName, ModelSelection
from rsretrieve.evaluation.instance_noise import class_means
from rsretrieve.network.device import best_precision, choose_device
from rsretrieve.network.embedder import Embedder
from rsretrieve.network.model import PrototypeModel
from rsretrieve.network.network import EmbeddingNetwork
from rsretrieve.network.prototypes import Prototypes
from rsretrieve.training.dataset import prepare_tiles
from rsretrieve.training.initialize import starting_model
from rsretrieve.training.loop import TrainingLoop
from rsretrieve.training.recipe import ROBUST, Recipe
from rsretrieve.training.step import TrainingSettings

FOLDS = 5


@dataclass(frozen=True)
class Embedded:
    """A cell's tiles in an embedding.

    Attributes:
        train, test: (N, D) float32, unit rows.
        prototypes: (K, D) float32, unit rows.
        temperature: σ.
    """

    train: NDArray[np.float32]
    test: NDArray[np.float32]
    prototypes: NDArray[np.float32]
    temperature: float


class LinearClassifier(Prototypes):
    """A linear layer and a softmax in the place of prototypes: cross entropy is their NSL."""

    def __init__(self, classes: int, features: int) -> None:
        super().__init__(classes, features, temperature=1.0)
        self.layer = nn.Linear(features, classes)
        self.weight.requires_grad_(False)

    def forward(self, features: Tensor) -> Tensor:
        """(B, F) → (B, K) log p_ic."""
        return torch.log_softmax(self.layer(features), dim=1)


def cross_entropy(cell: Cell, tiles: CellTiles, place: Place) -> Embedded:
    """A linear classifier on the backbone, trained as `robust` trains but for the loss.

    The embedding is the backbone's features.
    """
    # Nothing of robust that hangs on prototypes; its schedule, batches, augmentation, average.
    recipe = _recipe(cell).changed(loss=LossName.NSL, weights_by=ModelSelection.AVERAGE)
    return _features(cell, tiles, place, recipe)


def early_learning(cell: Cell, tiles: CellTiles, place: Place) -> Embedded:
    """The same classifier with early-learning regularisation."""
    recipe = _recipe(cell).changed(loss=LossName.NSL, weights_by=ModelSelection.AVERAGE)
    loss = EarlyLearning(len(tiles.train), len(tiles.class_names))
    return _features(cell, tiles, place, recipe, loss)


def small_loss(cell: Cell, tiles: CellTiles, place: Place) -> Embedded:
    """The same classifier, of each batch only the tiles with the smallest loss; η is known."""
    recipe = _recipe(cell).changed(loss=LossName.NSL, weights_by=ModelSelection.AVERAGE)
    return _features(cell, tiles, place, recipe, SmallLoss(cell.rate))


def frozen(cell: Cell, tiles: CellTiles, place: Place) -> Embedded:
    """The features of the backbone as it was downloaded."""
    return _features(cell, tiles, place, None)


def _recipe(cell: Cell) -> Recipe:
    return ROBUST.changed(backbone=cell.backbone, size_px=cell.size_px, epochs=cell.epochs)


def _features(
    cell: Cell,
    tiles: CellTiles,
    place: Place,
    recipe: Recipe | None,
    loss: EarlyLearning | SmallLoss | None = None,
) -> Embedded:
    device, context = choose_device(place.device), RunContext(strict=True)
    prepared = prepare_tiles(
        tiles.train,
        tiles.validation,
        recipe or _recipe(cell),
        (),
        cell.seed,
        context,
    )
    model, _ = starting_model(
        recipe or _recipe(cell), 3, prepared.class_names, place.weights, cell.seed
    )
    network = FeatureNetwork(model.network)
    kept: EmbeddingNetwork = network.to(device)
    if recipe is not None:
        classifier = PrototypeModel(
            network, LinearClassifier(len(prepared.class_names), network.width)
        )
        settings = TrainingSettings(
            recipe, prepared.preprocessing, cell.seed, device, best_precision(device)
        )
        if loss is None:
            training = TrainingLoop(settings, classifier, prepared.train, None, RunContext())
        else:
            training = RivalLoop(settings, classifier, prepared.train, loss)
        with tempfile.TemporaryDirectory() as folder:
            training.run(Path(folder) / "checkpoint", {}, resume=False)
        kept = training.select_model(recipe.keep).network
    embedder = Embedder(kept, prepared.preprocessing, device)
    train = _unit(embedder.vectors(prepared.train.pixels))
    test = read_into_store(tiles.test, prepared.preprocessing, context)
    given = prepared.train.labels
    return Embedded(
        train=train,
        test=_unit(embedder.vectors(test.pixels)),
        prototypes=class_means(train, given, len(prepared.class_names)),
        temperature=ROBUST.temperature_for(len(prepared.class_names)),
    )


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), np.float32)


def confident_learning(
    vectors: NDArray[np.float32], labels: NDArray[np.int64], seed: int
) -> NDArray[np.float64]:
    """Cleanlab's label quality of out-of-sample probabilities; higher is worse, (N,).

    Ranked by cleanlab's default, the self-confidence: the probability of the label.
    """
    from cleanlab.rank import get_label_quality_scores

    probabilities = out_of_sample(vectors, labels, seed)
    return 1 - np.asarray(get_label_quality_scores(labels, probabilities), np.float64)


def out_of_sample(
    vectors: NDArray[np.float32], labels: NDArray[np.int64], seed: int
) -> NDArray[np.float64]:
    """(N, K) probabilities by a logistic regression on the unit vectors, over 5 folds.

    The vectors are not standardised: of principal components, this makes the last ones count as
    much as the first ones, and the average precision falls.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    judge = LogisticRegression(max_iter=1000)
    present, sizes = np.unique(labels, return_counts=True)
    folds = StratifiedKFold(min(FOLDS, int(sizes.max())), shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # iterations run out; classes of fewer tiles than folds
        found = cross_val_predict(judge, vectors, labels, cv=folds, method="predict_proba")
    probabilities = np.zeros((len(labels), int(labels.max()) + 1))
    probabilities[:, present] = found
    return probabilities
