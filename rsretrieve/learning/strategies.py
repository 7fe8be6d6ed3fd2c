"""The strategies that a recipe chooses from, to set what is taught of each tile."""

from __future__ import annotations

from rsretrieve.learning.agreement import NeighbourAgreement
from rsretrieve.learning.alternation import Truncation
from rsretrieve.learning.recipes import Recipe
from rsretrieve.learning.targets import Strategy


def strategy_of(recipe: Recipe) -> Strategy:
    """The published truncation, or, where the recipe asks for it, agreement."""
    if recipe.agreement is None:
        return Truncation(recipe.k)
    return NeighbourAgreement(recipe.k, recipe.agreement)
