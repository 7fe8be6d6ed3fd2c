"""The strategies that a recipe chooses from, to set what is taught of each tile."""

from __future__ import annotations

from rsretrieve.training.recipe import Recipe
from rsretrieve.training.targets.neighbor_agreement import NeighbourAgreement
from rsretrieve.training.targets.targets import Strategy
from rsretrieve.training.targets.truncation import Truncation


def strategy_of(recipe: Recipe) -> Strategy:
    """The published truncation, or, where the recipe asks for it, agreement."""
    if recipe.agreement is None:
        return Truncation(recipe.k)
    return NeighbourAgreement(recipe.k, recipe.agreement)
