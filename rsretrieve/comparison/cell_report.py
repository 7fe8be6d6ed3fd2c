"""What a cell reported when it was trained and measured, for the runs that use it again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from rsretrieve.data.failures import Failure
from rsretrieve.data.tile import Tile

_Failures = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class CellReport:
    """What is said of a finished cell on every run.

    Attributes:
        training: the tiles that its training could not use: id and reason.
        test: the same of the test tiles and the gallery.
        gallery: how many tiles its queries searched; None if it is not measured.
    """

    training: _Failures = ()
    test: _Failures = ()
    gallery: int | None = None

    def failures_among(self, tiles: Iterable[Tile]) -> list[Failure]:
        """The failures, with those of the tiles that have their ids."""
        failures = (*self.training, *self.test)
        if not failures:
            return []
        tile_of = {tile.id: tile for tile in tiles}
        return [Failure(tile_of.get(name, Tile(name, name)), why) for name, why in failures]

    @classmethod
    def of_training(cls, failures: Iterable[Failure]) -> CellReport:
        """The report of a training."""
        return cls(training=_each_once(failures))

    def measured(self, failures: Iterable[Failure], gallery: int) -> CellReport:
        """The report of a cell that was measured.

        Args:
            failures: the tiles that could not be used; those of the training may be among them.
            gallery: see the attribute.
        """
        of_test = tuple(one for one in _each_once(failures) if one not in self.training)
        return CellReport(self.training, of_test, gallery)

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        sides = {"training": self.training, "test": self.test}
        failures = {name: [list(one) for one in side] for name, side in sides.items()}
        return {**failures, "gallery": self.gallery}

    @classmethod
    def from_json(cls, value: Any) -> CellReport:
        """The inverse of `to_json`.

        Raises:
            KeyError, TypeError, ValueError: it is something else.
        """
        training, test = (
            tuple((str(name), str(why)) for name, why in value[side])
            for side in ("training", "test")
        )
        gallery = value["gallery"]
        if gallery is not None and (type(gallery) is not int or gallery < 0):
            raise ValueError("the size of a gallery is no number of tiles")
        return cls(training, test, gallery)


def _each_once(failures: Iterable[Failure]) -> _Failures:
    return tuple(dict.fromkeys((failure.tile_id, failure.reason) for failure in failures))
