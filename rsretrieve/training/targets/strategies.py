"""The strategies that a recipe chooses from, to set what is taught of each tile."""

from __future__ import annotations

from rsretrieve.training.recipe import Recipe
from rsretrieve.training.targets.neighbor_agreement import NeighborAgreementPolicy
from rsretrieve.training.targets.targets import TargetPolicy
from rsretrieve.training.targets.truncation import TruncationPolicy


def target_policy(recipe: Recipe) -> TargetPolicy:
    """The published truncation, or, where the recipe asks for it, agreement."""
    if recipe.agreement is None:
        return TruncationPolicy(recipe.k)
    return NeighborAgreementPolicy(recipe.k, recipe.agreement)
