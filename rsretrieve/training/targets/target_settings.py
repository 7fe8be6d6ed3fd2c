"""The thresholds and the times of the policies that set targets."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from rsretrieve.errors import InvalidArgument


@dataclass(frozen=True)
class AgreementSettings:
    """Thresholds of `NeighborAgreementPolicy`, beside the truncation k.

    Attributes:
        share: a, minimum share of the neighbours' votes for a given label that is kept.
        relabel: r, minimum probability of a label that replaces the given one.
        relabel_after: finished share of the epochs after which labels are replaced.
        memory: share of the old value in the averages of probabilities over updates.

    Raises:
        InvalidArgument: a value is outside 0…1.
    """

    share: float
    relabel: float
    relabel_after: float
    memory: float

    def __post_init__(self) -> None:
        if not all(0 <= value <= 1 for value in asdict(self).values()):
            raise InvalidArgument(f"shares and probabilities must be in 0…1, not as in {self}")


@dataclass(frozen=True)
class PosteriorSettings:
    """How `PosteriorPolicy` sets targets.

    Attributes:
        first_update, update_every: shares of the epochs after which targets are set for the first
            time, and then again; they replace those of the recipe.
        teach_all_after: finished share of the epochs after which not only the certain half of the
            tiles of each class is taught.
        iterations: of the estimate at an update.

    Raises:
        InvalidArgument: a share is outside 0…1, or there is no iteration.
    """

    first_update: float
    update_every: float
    teach_all_after: float
    iterations: int

    def __post_init__(self) -> None:
        shares = (self.first_update, self.update_every, self.teach_all_after)
        if not all(0 <= share <= 1 for share in shares) or self.iterations < 1:
            raise InvalidArgument(f"shares must be in 0…1 and iterations 1 or more, not {self}")
