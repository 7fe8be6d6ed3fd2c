"""What a shipped model tells of itself, beside what every model does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Figures:
    """How well a model retrieves the tiles of a data set, leave one out.

    Attributes:
        tiles: name of the data set.
        count: tiles that were measured.
        fitted: whether the principal components were fitted to these tiles, as they are where no
            model is given; otherwise they are those of the model.
        knn_accuracy: of 10 nearest neighbours, 0…1.
        map: mean average precision over the whole ranking, 0…1.
    """

    tiles: str
    count: int
    fitted: bool
    knn_accuracy: float
    map: float

    def __str__(self) -> str:
        fitted = ", fitted" if self.fitted else ""
        return f"{self.tiles}{fitted} {self.knn_accuracy:.3f} / {self.map:.3f}"


@dataclass(frozen=True)
class ShippedFacts:
    """The entry `shipped` among the facts about a model's training.

    Attributes:
        name: for `--model NAME`.
        summary: what it is for, in one sentence.
        weights: where the weights come from.
        trained_on: the data that it saw.
        licence: of the weights, as an SPDX expression.
        command: that made it.
        figures: of data sets.
    """

    name: str
    summary: str
    weights: str
    trained_on: str
    licence: str
    command: str
    figures: tuple[Figures, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {**asdict(self), "figures": [asdict(each) for each in self.figures]}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> ShippedFacts:
        """The inverse of `to_json`.

        Raises:
            KeyError, TypeError, ValueError: these are not the facts of a shipped model.
        """
        texts = {key: content[key] for key in cls.__annotations__ if key != "figures"}
        if not all(isinstance(text, str) for text in texts.values()):
            raise TypeError("facts are texts")
        figures = tuple(Figures(**entry) for entry in content["figures"])
        return cls(**texts, figures=figures)
