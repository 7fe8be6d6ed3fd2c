"""What sets the targets of a training anew, by its recipe."""

from __future__ import annotations

from rsretrieve.training.parallel.processes import Processes
from rsretrieve.training.recipe import Recipe
from rsretrieve.training.targets.neighbor_agreement import NeighborAgreementPolicy
from rsretrieve.training.targets.targets import TargetPolicy
from rsretrieve.training.targets.truncation import TruncationPolicy


def target_policy(recipe: Recipe, processes: Processes) -> TargetPolicy:
    """The published truncation, or the agreement with neighbours if the recipe sets it."""
    if recipe.agreement is None:
        return TruncationPolicy(recipe.k)
    return NeighborAgreementPolicy(recipe.k, recipe.agreement, processes)
