"""The schema of an id table, and checks that a table holds what rsretrieve writes."""

from __future__ import annotations

import pyarrow
import pyarrow.compute as pc

from rsretrieve.data.file_state import NO_FILE_BYTES

_PAIR = pyarrow.list_(pyarrow.float64(), 2)
SCHEMA = pyarrow.schema(
    [
        ("id", pyarrow.string()),
        ("path", pyarrow.string()),  # absolute
        ("label", pyarrow.string()),
        ("size_bytes", pyarrow.int64()),
        ("mtime_ns", pyarrow.int64()),
        ("content", pyarrow.string()),  # digest of the file's content
        ("sidecars", pyarrow.string()),  # digest of its sidecars; empty without any
        ("state", pyarrow.string()),  # size, times and inode of them all: `FileState.mark`
        ("crs", pyarrow.string()),
        # Left, bottom, right, top, in `crs`. Lists of any length: before version 26, pyarrow cannot
        # write or read null among lists of a fixed length (older indexes contain such lists).
        ("bounds", pyarrow.list_(pyarrow.float64())),
        ("footprint", pyarrow.list_(_PAIR)),  # corners, longitude and latitude in degrees
        # Polygons of rings of corners, where one ring cannot say the area; else null.
        ("parts", pyarrow.list_(pyarrow.list_(pyarrow.list_(_PAIR)))),
        ("read_px", pyarrow.int32()),  # of windows read at a lower resolution; else null
    ]
)
_OPTIONAL = ("content", "sidecars", "state", "parts", "read_px")  # missing in older indexes


def fitted(found: pyarrow.Table) -> pyarrow.Table:
    """A table that was read, as a table of `SCHEMA` whose values rsretrieve could have written.

    Raises:
        TypeError, ValueError, KeyError, pyarrow.ArrowException: it holds something else.
    """
    for name in _OPTIONAL:
        if name not in found.column_names:
            values = pyarrow.nulls(found.num_rows, SCHEMA.field(name).type)
            found = found.append_column(name, values)
    found = found.select(SCHEMA.names)
    _check_types(found)
    found.validate(full=True)  # finds invalid UTF-8, and offsets outside of a column
    table = found if found.schema.equals(SCHEMA) else found.cast(SCHEMA)
    _check_values(table)
    return _within_the_globe(table)


def _check_types(found: pyarrow.Table) -> None:
    """Raise `TypeError` if a cast would change the meaning of a value."""
    for entry in SCHEMA:
        kind = found.schema.field(entry.name).type
        if pyarrow.types.is_null(kind) or kind.equals(entry.type):
            continue
        if pyarrow.types.is_string(entry.type) and not pyarrow.types.is_large_string(kind):
            raise TypeError(f"{entry.name} holds {kind}")


def _check_values(table: pyarrow.Table) -> None:
    """Raise `TypeError` or `ValueError` for values that rsretrieve does not write."""
    for name in ("id", "path", "size_bytes", "mtime_ns"):
        if table.column(name).null_count:
            raise TypeError(f"a tile has no {name}")
    if pc.any(pc.less(table.column("size_bytes"), NO_FILE_BYTES)).as_py():
        raise ValueError("a file has a negative size")
    _check_places(table)


def _check_places(table: pyarrow.Table) -> None:
    crs, bounds, footprint = (table.column(name) for name in ("crs", "bounds", "footprint"))
    if not (crs.is_valid() == bounds.is_valid() == footprint.is_valid()):
        raise TypeError("a tile has an incomplete place")
    if pc.any(pc.not_equal(pc.list_value_length(bounds), 4)).as_py():
        raise TypeError("the bounds of a tile are not four numbers")
    corners = pc.list_flatten(footprint)
    if pc.any(pc.equal(pc.list_value_length(footprint), 0)).as_py() or corners.null_count:
        raise ValueError("a footprint has no corners")
    for numbers in (pc.list_flatten(bounds), pc.list_flatten(corners)):
        if numbers.null_count or not pc.all(pc.is_finite(numbers), min_count=0).as_py():
            raise ValueError("bounds or footprint are not numbers")
    if table.column("parts").null_count < table.num_rows:
        _check_parts(table.column("parts"))


def _check_parts(parts: pyarrow.ChunkedArray) -> None:
    rings = pc.list_flatten(pc.list_flatten(parts))
    corners = pc.list_flatten(rings)
    lengths = pc.list_value_length(rings)
    if lengths.null_count or corners.null_count or pc.any(pc.less(lengths, 3)).as_py():
        raise ValueError("a part of a footprint is not a ring of corners")
    polygons = pc.list_flatten(parts)
    if polygons.null_count or pc.any(pc.equal(pc.list_value_length(polygons), 0)).as_py():
        raise ValueError("a part of a footprint has no ring")
    numbers = pc.list_flatten(corners)
    if numbers.null_count or not pc.all(_are_degrees(corners), min_count=0).as_py():
        raise ValueError("the parts of a footprint are not degrees")


def _are_degrees(corners: pyarrow.ChunkedArray) -> pyarrow.ChunkedArray:
    """Whether corners are longitudes within ±360 and latitudes within ±90; for each."""
    lons, lats = (pc.abs(pc.list_element(corners, axis)) for axis in (0, 1))
    return pc.and_(pc.less_equal(lons, 360), pc.less_equal(lats, 90))


def _within_the_globe(table: pyarrow.Table) -> pyarrow.Table:
    """The same table without places beyond the globe, which earlier versions wrote.

    Latitudes of windows that reach beyond a pole are cut off there.
    """
    corners = pc.list_flatten(table.column("footprint"))
    if pc.all(_are_degrees(corners), min_count=0).as_py():
        return table
    rows = table.column("footprint").to_pylist()
    kept = [row is None or all(abs(x) <= 360 and abs(y) <= 180 for x, y in row) for row in rows]
    cut = [row and [[x, min(max(y, -90.0), 90.0)] for x, y in row] for row in rows]
    for name in ("crs", "bounds", "footprint", "parts"):
        values = cut if name == "footprint" else table.column(name).to_pylist()
        values = [value if keep else None for value, keep in zip(values, kept)]
        at = table.schema.get_field_index(name)
        table = table.set_column(
            at, SCHEMA.field(name), pyarrow.array(values, SCHEMA.field(name).type)
        )
    return table
