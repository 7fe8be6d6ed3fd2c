"""How a raw tile becomes the input of a network: one record of all steps, which applies them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rsretrieve.data.pixels.expected import Expected, counts_stored_bands
from rsretrieve.data.pixels.packing import Packing
from rsretrieve.data.reading.raw_tile import RawTile
from rsretrieve.data.window import MIN_SIDE_PX
from rsretrieve.errors import InvalidArgument, TileError

MAX_SIZE_PX = 2048


@dataclass(frozen=True)
class BandStatistics:
    """Statistics of the valid values of each of C bands.

    Attributes:
        mean, deviation: (C,) of the values between `low` and `high`, in the file's units.
        low, high: (C,) the 0.1st and 99.9th percentile.
    """

    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    def __post_init__(self) -> None:
        columns = (self.mean, self.deviation, self.low, self.high)
        if len({len(column) for column in columns}) != 1 or not np.isfinite(columns).all():
            raise InvalidArgument("band statistics must be finite and of one length")
        if min(self.deviation) <= 0:
            raise InvalidArgument("a band's deviation must be positive")

    @property
    def bands(self) -> int:
        """C."""
        return len(self.mean)


@dataclass(frozen=True)
class Preprocessing:
    """The steps before the network, the same in training, indexing and queries.

    Attributes:
        size_px: the side of the square that tiles are resized to.
        source_bands: the number of bands that a tile must have.
        bands: the bands used, counted from 1, in the network's order. The first ones in order may
            be red, green and blue that a file stores otherwise; see `data.pixels.meaning`.
        dtype: the pixel type that a tile must have.
        statistics: of the C = len(bands) bands.
        reduced_jpeg: JPEG tiles are decoded at reduced size, no larger than needed.
        packing: scale and offset of the source bands, in which the statistics are; None if the
            training tiles declared none. An index of such a model may keep those of its tiles.
    """

    size_px: int
    source_bands: int
    bands: tuple[int, ...]
    dtype: str
    statistics: BandStatistics
    reduced_jpeg: bool = False
    packing: Packing | None = None

    def __post_init__(self) -> None:
        check_size(self.size_px)
        check_bands(self.bands, self.source_bands)
        if self.statistics.bands != len(self.bands):
            raise InvalidArgument(
                f"statistics of {self.statistics.bands} bands for {len(self.bands)} bands"
            )
        if self.packing is not None and len(self.packing.scales) != self.source_bands:
            raise InvalidArgument(
                f"scales of {len(self.packing.scales)} bands for {self.source_bands} bands"
            )

    @property
    def expected(self) -> Expected:
        """What these steps expect of the tiles that are read."""
        in_order = counts_stored_bands(self.bands)
        return Expected(self.source_bands, packing=self.packing, stored_order=in_order)

    @property
    def jpeg_px(self) -> int | None:
        """The smallest side to which a JPEG may be decoded; None to decode it at full size.

        It is twice the working size. The result then differs from that of the full size by 0.8
        of 255 on average (UC Merced at 64 px); with once the working size it would be 3.0.
        """
        return 2 * self.size_px if self.reduced_jpeg else None

    @property
    def scale(self) -> NDArray[np.float32]:
        """(C,) the divisors that bring values to about 0…1."""
        if self.dtype == "uint8":
            return np.full(len(self.bands), 255, np.float32)
        reach = np.maximum(np.abs(self.statistics.high), np.abs(self.statistics.low))
        return np.maximum(reach, 1e-6).astype(np.float32)

    def apply(self, tile_id: str, raw: RawTile) -> NDArray[Any]:
        """Select bands, replace invalid pixels by the band's mean, and resize.

        Args:
            tile_id: the tile, for errors.
            raw: its pixels.

        Returns:
            (C, size_px, size_px) in the tile's own type and units. They are normalised later, in
            batches, by `statistics`.

        Raises:
            TileError: another number of bands, or another type of pixel.
        """
        values, valid = self._checked(tile_id, raw)
        if self.bands != tuple(range(1, len(values) + 1)):
            values = values[[band - 1 for band in self.bands]]
        if valid is None:
            return resized(values, self.size_px)
        valid = valid[[band - 1 for band in self.bands]]
        fill = np.array(self.statistics.mean, np.float32)[:, None, None]
        filled = np.where(valid, values, fill).astype(np.float32)
        return _as_type(resized(filled, self.size_px), values.dtype)

    def _checked(self, tile_id: str, raw: RawTile) -> tuple[NDArray[Any], Any]:
        found, wanted = len(raw.values), self.source_bands
        if raw.values.dtype != self.dtype:
            of_others = (
                " (as int8, 32- and 64-bit values are read)" if raw.values.dtype.kind == "f" else ""
            )
            found_type = f"{raw.values.dtype}{of_others}"
            raise TileError(tile_id, f"pixels are {found_type}, and {self.dtype} is expected")
        if found == 1 and wanted == 3 and self.dtype == "uint8":
            valid = None if raw.valid is None else raw.valid.repeat(3, axis=0)
            return raw.values.repeat(3, axis=0), valid  # a grey image among colour images
        if found != wanted:
            raise TileError(tile_id, f"has {found} bands, and {wanted} are expected")
        return raw.values, raw.valid

    def to_json(self) -> dict[str, Any]:
        """As plain values. Fields that earlier models lack are left out if unused.

        This keeps the fingerprints of such models, and their cached tiles, unchanged.
        """
        content = asdict(self)
        if not self.reduced_jpeg:
            del content["reduced_jpeg"]
        del content["packing"]
        if self.packing is not None:
            content["packing"] = self.packing.to_json()
        return content

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Preprocessing:
        """The inverse of `to_json`."""
        statistics = {name: tuple(map(float, v)) for name, v in content["statistics"].items()}
        packing = content.get("packing")
        return cls(
            size_px=int(content["size_px"]),
            source_bands=int(content["source_bands"]),
            bands=tuple(map(int, content["bands"])),
            dtype=str(content["dtype"]),
            statistics=BandStatistics(**statistics),
            reduced_jpeg=bool(content.get("reduced_jpeg", False)),
            packing=None if packing is None else Packing.from_json(packing),
        )


def resized(values: NDArray[Any], size_px: int) -> NDArray[Any]:
    """Resize (C, H, W) to (C, size_px, size_px), bilinear with antialiasing, same type."""
    if values.shape[1:] == (size_px, size_px):
        return np.ascontiguousarray(values)
    shape, method = (size_px, size_px), Image.Resampling.BILINEAR
    if values.dtype == np.uint8 and len(values) == 3:
        picture = Image.fromarray(np.ascontiguousarray(values.transpose(1, 2, 0)))
        return np.ascontiguousarray(np.asarray(picture.resize(shape, method)).transpose(2, 0, 1))
    bands = [Image.fromarray(np.asarray(band, np.float32)).resize(shape, method) for band in values]
    return _as_type(np.stack([np.asarray(band) for band in bands]), values.dtype)


def check_size(size_px: int) -> None:
    """Raise `InvalidArgument` for a working size that is out of range."""
    if not MIN_SIDE_PX <= size_px <= MAX_SIZE_PX:
        raise InvalidArgument(f"a size lies in {MIN_SIDE_PX}…{MAX_SIZE_PX} px, not {size_px}")


def check_bands(bands: tuple[int, ...], source_bands: int) -> None:
    """Raise `InvalidArgument` for bands that tiles of `source_bands` bands do not have."""
    if not bands or not all(1 <= band <= source_bands for band in bands):
        raise InvalidArgument(
            f"bands are counted from 1 to {source_bands} in these tiles, and "
            f"{','.join(map(str, bands)) or 'none'} were requested"
        )


def _as_type(values: NDArray[Any], dtype: Any) -> NDArray[Any]:
    if np.dtype(dtype).kind == "f":
        return values.astype(dtype)
    limits = np.iinfo(dtype)
    return np.asarray(np.clip(np.rint(values), limits.min, limits.max), dtype)
