"""The bands that a network takes, beside those that its weights were trained on."""

from __future__ import annotations

from dataclasses import dataclass

from rsretrieve._core.text import first_few, printable
from rsretrieve.data.preprocessing.preprocessing import Preprocessing
from rsretrieve.data.profile.band_names import band_key, named_bands
from rsretrieve.data.tile import TileSet
from rsretrieve.network.backbones.weight_bands import bands_of_weights
from rsretrieve.network.shipped.given_weights import weights_path

_RGB = 3
_SHOWN = 16


@dataclass(frozen=True)
class InputBands:
    """The bands that a network takes, and those that its weights were trained with.

    Attributes:
        bands: the tiles' bands in the network's order, counted from 1.
        source_bands: the number of bands of the tiles' files.
        trained: the bands of the weights in the same files; None if unknown.
        names: the names of the tiles' bands, in the network's order; empty if they have none.
        trained_names: the names of the bands of the weights; empty if unknown.
    """

    bands: tuple[int, ...]
    source_bands: int
    trained: tuple[int, ...] | None = None
    names: tuple[str, ...] = ()
    trained_names: tuple[str, ...] = ()

    def channels_in(self, channels: int) -> list[int] | None:
        """The input channels of the weights that belong to the bands, from 0; None if unknown.

        They are found by the names of the bands. Without names, weights of as many channels as the
        files have bands take all bands in their order.
        """
        if self._has_names(channels):
            keys = [band_key(name) for name in self.trained_names]
            wanted = [band_key(name) for name in self.names]
            return [keys.index(key) for key in wanted] if {*wanted} <= {*keys} else None
        known = self.trained
        if known is None and channels == self.source_bands and channels != len(self.bands):
            known = tuple(range(1, channels + 1))
        if known is None or len(known) != channels or not {*self.bands} <= {*known}:
            return None
        return [known.index(band) for band in self.bands]

    def in_words(self) -> str:
        """The bands that the network takes, by name or by number."""
        return _listed(self.names) if self.names else ",".join(map(str, self.bands))

    def trained_in_words(self, channels: int) -> str:
        """The bands that weights of so many channels were trained on; empty if unknown."""
        if len(self.trained_names) == channels:
            return _listed(self.trained_names)
        if self.trained is not None:
            return ",".join(map(str, self.trained))
        return "red, green, blue" if channels == _RGB and self.source_bands > _RGB else ""

    def _has_names(self, channels: int) -> bool:
        """Whether the bands on both sides have names."""
        return bool(self.names) and len(self.trained_names) == channels


def _listed(names: tuple[str, ...]) -> str:
    return first_few(map(printable, names), _SHOWN, ",")


def input_bands(preprocessing: Preprocessing, tiles: TileSet, weights: str) -> InputBands:
    """The bands that a network takes from tiles, with their names where files say them.

    Args:
        preprocessing: of the tiles.
        tiles: whose headers are read.
        weights: the weights, as the user named them.
    """
    bands, count = preprocessing.bands, preprocessing.source_bands
    path = weights_path(weights)
    is_file = path is not None and path.is_file()
    trained = bands_of_weights(path) if path is not None and is_file else ()
    if not is_file or (count <= _RGB and not trained):
        return InputBands(bands, count)
    found = named_bands(tiles)
    names = tuple(found[band - 1] for band in bands) if len(found) == count else ()
    return InputBands(bands, count, names=names, trained_names=trained)
