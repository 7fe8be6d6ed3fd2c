"""The records that a reply of a worker may hold, each with a check of all its fields.

A worker decodes untrusted files and may be taken over by one. So nothing that it sends is called
or set: a record is made here, by its own class, from fields of the right types.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from math import isfinite
from typing import Any, NamedTuple

Check = Callable[[Any], bool]
_LONGEST_TEXT = 1_000_000
_MOST_DEGREES = 360.0


def _is_text(value: Any) -> bool:
    return type(value) is str and len(value) <= _LONGEST_TEXT


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 53


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and isfinite(value)


def _is_truth(value: Any) -> bool:
    return type(value) is bool


def _is_array(value: Any) -> bool:
    return type(value).__name__ == "ndarray"


def _is_none_or(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _are(check: Check, least: int = 0, most: int | None = None) -> Check:
    """A check of a tuple of so many values."""

    def checked(value: Any) -> bool:
        few = type(value) is tuple and least <= len(value)
        return few and (most is None or len(value) <= most) and all(map(check, value))

    return checked


def _is_ring(value: Any) -> bool:
    """Whether a value is a ring: longitude and latitude of one point after another."""
    if type(value) is not tuple or len(value) < 6 or len(value) % 2:
        return False
    if not {*map(type, value)} <= {float, int} or not all(map(isfinite, value)):
        return False
    return bool(min(value) >= -_MOST_DEGREES and max(value) <= _MOST_DEGREES)


_are_parts = _are(_are(_is_ring, 1), 1)


class _Record(NamedTuple):
    """How a record is made.

    Attributes:
        module, maker: its class, or the function that makes it.
        checks: of its fields, in order.
        fields: their names; empty where the class's method `sent` gives the values.
    """

    module: str
    maker: str
    checks: tuple[Check, ...]
    fields: tuple[str, ...] = ()


_DATA = "rsretrieve.data"
_RECORDS = {
    "Place": _Record(
        f"{_DATA}.geo.place",
        "received_place",
        (_is_text, _are(_is_number, 4, 4), _is_ring, _is_none_or(_are_parts)),
    ),
    "AcquisitionTime": _Record(
        f"{_DATA}.dates.acquisition_time",
        "received_time",
        (lambda value: type(value) is int, lambda value: type(value) is int, _is_text),
    ),
    "Packing": _Record(
        f"{_DATA}.pixels.packing",
        "Packing",
        (_are(_is_number, 1), _are(_is_number, 1)),
        ("scales", "offsets"),
    ),
    "ReadFailure": _Record(
        f"{_DATA}.reading.decode_chunk",
        "ReadFailure",
        (_is_text, _is_truth),
        ("reason", "skipped"),
    ),
    "SceneFacts": _Record(
        f"{_DATA}.windowing",
        "SceneFacts",
        (
            *(_is_count, _is_count, _are(_is_count, 2, 2)),
            *(_is_none_or(_are(_is_number, 2, 2)), _is_none_or(_is_array), _is_truth),
        ),
        ("width", "height", "block_px", "pixel_m", "stored", "pixel_varies"),
    ),
    "BandFacts": _Record(
        f"{_DATA}.embedding_rasters.band_vectors",
        "BandFacts",
        (
            *(_is_count, _is_count, _is_count, _is_text),
            *(_are(_is_text), _are(_is_number), _are(_is_number)),
        ),
        ("width", "height", "bands", "dtype", "names", "scales", "offsets"),
    ),
    "RawTile": _Record(
        f"{_DATA}.reading.raw_tile",
        "received_tile",
        (
            *(_is_array, _is_none_or(_is_array), lambda _: True, lambda _: True),
            *(_are(_is_text), lambda _: True),
        ),
        ("values", "valid", "place", "packing", "notes", "taken"),
    ),
}


def fields_of(value: Any) -> list[Any] | None:
    """The name of a record and its fields, to be sent; None for anything else."""
    kind = type(value)
    record = _RECORDS.get(kind.__name__)
    if record is None or record.module != kind.__module__:
        return None
    fields = [getattr(value, name) for name in record.fields] or value.sent()
    return [kind.__name__, *fields]


def record_of(name: Any, *fields: Any) -> Any:
    """Make a record from what was received.

    Raises:
        ValueError: there is no such record, or a field has the wrong type.
        Exception: what the record's own checks raise.
    """
    record = _RECORDS.get(name) if type(name) is str else None
    if record is None:
        raise ValueError(f"{str(name)[:40]!r} is not allowed in a reply")
    if len(fields) != len(record.checks):
        raise ValueError(f"{name} with {len(fields)} fields")
    if not all(check(field) for check, field in zip(record.checks, fields)):
        raise ValueError(f"{name} with a field of another type")
    return _maker(record.module, record.maker)(*fields)


@cache
def _maker(module: str, name: str) -> Callable[..., Any]:
    maker: Callable[..., Any] = getattr(import_module(module), name)
    return maker
