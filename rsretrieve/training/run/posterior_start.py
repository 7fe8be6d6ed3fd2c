"""The posterior of the classes of the training tiles, before the first epoch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rsretrieve.data.run_context import RunContext
from rsretrieve.enums import LossName
from rsretrieve.network.shipped.given_weights import model_folder_of
from rsretrieve.training.dataset import PreparedTiles
from rsretrieve.training.recipe import Recipe, recipe_for
from rsretrieve.training.step import TrainingSettings
from rsretrieve.training.targets.classify_by_others import Neighbourhood
from rsretrieve.training.targets.posterior_policy import PosteriorPolicy

_BY_TRAINING = (
    "labels are left out or replaced only by what is learned during the training"  # no posterior
)
_NOT_INFORMED = (
    "the features of the starting weights do not predict the labels: most labels are random, or "
    f"these weights do not tell the classes apart; {_BY_TRAINING}"
)


def estimated_posterior(
    features: NDArray[Any] | None,
    weights: str,
    prepared: PreparedTiles,
    settings: TrainingSettings,
    context: RunContext,
) -> PosteriorPolicy | None:
    """Estimate the classes of the training tiles, if the recipe uses them.

    Args:
        features: (N, d) unit rows that no label has shaped, rows of zeros where they are unknown;
            None without any.
        weights: as the user named them.
        prepared: the tiles.
        settings: what the training is run with.
        context: receives notices and progress.

    Returns:
        The posterior. None if the recipe does not use it, if there are no features of some tile,
        or if the features say nothing about the labels.
    """
    recipe = settings.recipe
    if recipe.posterior is None or not recipe.posterior_epochs:
        return None
    known = 0 if features is None else int(features.any(axis=1).sum())
    if features is None or known < len(features):
        if model_folder_of(weights) is not None:
            context.notice(_not_inherited(weights, known, len(prepared.tiles)))
        return None
    context.start_stage("estimating the classes from the starting features")
    policy, is_informative = _fitted(features, prepared, settings)
    if is_informative:
        return policy
    context.notice(_NOT_INFORMED)
    return None


def _not_inherited(weights: str, known: int, tiles: int) -> str:
    return (
        f"{weights}: the model folder has features from before its training for {known} of {tiles} "
        "tiles, and all are needed to estimate the classes before the first epoch; "
        f"{_BY_TRAINING}"
    )


def _fitted(
    features: NDArray[Any], prepared: PreparedTiles, settings: TrainingSettings
) -> tuple[PosteriorPolicy, bool]:
    """The posterior, and whether the features predict the labels; the same in all processes."""
    assert settings.recipe.posterior is not None
    train, device = prepared.train, settings.device
    rows = torch.from_numpy(np.asarray(features, np.float32)).to(device)
    nobody = np.zeros(len(train), bool)
    confirmed = nobody if train.confirmed is None else train.confirmed
    views = Neighbourhood.views(rows, settings.processes)
    policy = PosteriorPolicy.of(
        settings.recipe.posterior,
        views,
        torch.from_numpy(train.labels).to(device),
        torch.from_numpy(confirmed).to(device),
        len(prepared.class_names),
        settings.seed,
    )
    informs = torch.tensor(float(policy.estimate.is_informative(views)), device=device)
    settings.processes.copy_of_first([*policy.tensors().values(), informs])
    return policy, bool(informs)


def unused_choices(recipe: Recipe, *, has_posterior: bool) -> list[str]:
    """Say which values that the user chose have no effect, and why.

    Args:
        recipe: of the training; values that are not the recipe's own were chosen.
        has_posterior: the posterior of the classes sets the targets.

    Returns:
        A notice for each.
    """
    own = recipe_for(recipe.name, "")
    notices = []
    if recipe.q != own.q and (reason := _why_not_q(recipe)):
        notices.append(f"--q {recipe.q:g} has no effect: {reason}")
    if recipe.k != own.k and (reason := _why_not_truncation(recipe, has_posterior=has_posterior)):
        notices.append(f"--truncation {recipe.k:g} has no effect: {reason}")
    return notices


def _why_not_q(recipe: Recipe) -> str:
    if recipe.loss is LossName.NSL:
        return f"the loss is {recipe.loss.value}, and only rnsl and t-rnsl have an exponent q"
    return "" if recipe.epochs else "without epochs no loss is minimised"


def _why_not_truncation(recipe: Recipe, *, has_posterior: bool) -> str:
    if recipe.loss is not LossName.T_RNSL:
        return f"the loss is {recipe.loss.value}, and only t-rnsl has a truncation"
    if has_posterior:
        return (
            "the classes that are estimated before the first epoch decide which labels are left "
            "out (--recipe paper leaves labels out by the truncation)"
        )
    return "" if recipe.update_epochs else f"in {recipe.epochs} epochs no labels are left out"
