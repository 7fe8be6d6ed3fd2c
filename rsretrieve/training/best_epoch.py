"""Which epoch was the best so far, and what the network was then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from rsretrieve.training.validate import standard_error


class BestEpoch:
    """Remembers the best of the epochs that it is told of.

    Attributes:
        number: of that epoch, from 1; 0 while there is none.
        state: the network's tensors then, or None while there is none.
    """

    def __init__(self) -> None:
        self.number = 0
        self.state: dict[str, Tensor] | None = None
        self._accuracy = 0.0

    def consider(
        self, number: int, accuracy: float, tiles: int, state: Mapping[str, Tensor]
    ) -> None:
        """Note an epoch.

        Of epochs that so few validation tiles cannot tell apart the later is the best: it has
        learned more, at a lower rate. A lucky early epoch would set the weights to the end.

        Args:
            number: of the epoch, from 1.
            accuracy: on the validation tiles.
            tiles: how many these are.
            state: the network's tensors, which are copied.
        """
        if accuracy >= self._accuracy - standard_error(self._accuracy, tiles):
            self.number = number
            self.state = {name: tensor.detach().clone() for name, tensor in state.items()}
        self._accuracy = max(accuracy, self._accuracy)

    def facts(self) -> dict[str, Any]:
        """For a checkpoint, beside `state`."""
        return {"best_accuracy": self._accuracy, "best_epoch": self.number}

    def restore(self, facts: Mapping[str, Any], state: dict[str, Tensor]) -> None:
        """The inverse of `facts`."""
        self._accuracy, self.number = facts["best_accuracy"], facts["best_epoch"]
        self.state = state or None
