"""Find the columns of a table of embeddings: ids, vectors, labels, paths and coordinates."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow
from pyarrow import types

from rsretrieve._core.tables.header import require
from rsretrieve._core.tables.parquet_file import require_flat
from rsretrieve.errors import TableError
from rsretrieve.index.external.choices import EmbeddingChoices

ID_COLUMNS = ("id", "tile", "unique_id", "tile_id", "chip_id", "system:index", "index")
"""Names of columns of ids, of which the first counts: of Earth Index and rsretrieve, Major TOM,
GeoVibes, others, Earth Engine, Clay."""
VECTOR_COLUMNS = ("embedding", "vector", "embeddings")
COORDINATES = (("longitude", "latitude"), ("lon", "lat"), ("lng", "lat"))
_NUMBERED = re.compile(r"(.*?)(\d+)", re.DOTALL)
_STEMS = ("a", "embedding", "embeddings", "emb", "vector", "dim", "feature", "feat")
_FEWEST = 2  # numbered columns that make a vector
_HINT = (
    "expected: a column `embedding` of lists of numbers, or one column a dimension (A00, A01 … or "
    "embedding_0, embedding_1 …); --vector-column names another one"
)


@dataclass(frozen=True)
class EmbeddingColumns:
    """The columns of a table.

    Attributes:
        id: the column of ids; None: rows are numbered.
        vectors: the column of lists, or one column of numbers a dimension.
        is_list: whether `vectors` is one column of lists.
        label, path: columns of labels and paths, or None.
        coordinates: the columns of longitudes and latitudes, or None.
    """

    id: str | None
    vectors: tuple[str, ...]
    is_list: bool
    label: str | None
    path: str | None
    coordinates: tuple[str, str] | None

    @property
    def texts(self) -> tuple[str, ...]:
        """The columns of texts that there are."""
        return tuple(name for name in (self.id, self.label, self.path) if name is not None)

    @property
    def named(self) -> tuple[str, ...]:
        """The columns that there are."""
        return (*self.texts, *self.vectors, *(self.coordinates or ()))


def find_columns(
    path: Path, schema: pyarrow.Schema, choices: EmbeddingChoices = EmbeddingChoices()
) -> EmbeddingColumns:
    """Find the columns of a table of embeddings.

    Raises:
        TableError: there are no vectors, or several columns may be them; a column that the user
            named is missing; a column occurs twice; or ids, labels or paths are lists or records.
    """
    by_name = {name.strip().lower(): name for name in schema.names}
    vectors = _vectors(path, schema, by_name, choices.vector_column)
    is_list = _is_list(schema.field(vectors[0]).type)
    names = [name.strip().lower() for name in schema.names]
    require(path, (), names)
    id_column = _id_column(path, by_name, vectors, choices.id_column)
    flat = [name.strip().lower() for name in (id_column, "label", "path") if name]
    require_flat(path, names, schema, flat)
    coordinates = _coordinates(schema, by_name)
    return EmbeddingColumns(
        id_column, vectors, is_list, by_name.get("label"), by_name.get("path"), coordinates
    )


def _id_column(
    path: Path, by_name: dict[str, str], vectors: tuple[str, ...], chosen: str | None
) -> str | None:
    if chosen is not None:
        return _named(path, by_name, chosen, "--id-column")
    found = (by_name[name] for name in ID_COLUMNS if name in by_name)
    return next((name for name in found if name not in vectors), None)


def _named(path: Path, by_name: dict[str, str], chosen: str, option: str) -> str:
    if (name := by_name.get(chosen.strip().lower())) is not None:
        return name
    raise TableError(
        f"{path}: no column {chosen!r} (its columns are: {_listed(by_name.values())})",
        hint=f"{option} names one of its columns",
    )


def _listed(names: object) -> str:
    """The names of columns, in one line: a table may have a thousand."""
    listed = list(names)  # type: ignore[call-overload]
    return ", ".join(listed[:40]) + (f" and {len(listed) - 40} more" if len(listed) > 40 else "")


def _vectors(
    path: Path, schema: pyarrow.Schema, by_name: dict[str, str], chosen: str | None
) -> tuple[str, ...]:
    """The column of lists, or the numbered columns in their order."""
    if chosen is not None:
        return _chosen_vectors(path, schema, by_name, chosen)
    lists = [entry.name for entry in schema if _is_list(entry.type)]
    known = next((by_name[n] for n in VECTOR_COLUMNS if by_name.get(n) in lists), None)
    if known is not None:
        return (known,)
    groups = _numbered(schema, lambda stem: stem.lower().rstrip("_") in _STEMS)
    if len(groups) == 1:
        return next(iter(groups.values()))
    floats = [name for name in lists if types.is_floating(schema.field(name).type.value_type)]
    for several in (floats, lists) if not groups else ():
        if len(several) == 1:
            return (several[0],)
    candidates = [*(names[0] for names in groups.values()), *(floats or lists)]
    if candidates:
        raise TableError(
            f"{path}: several columns may hold the vectors ({_listed(candidates)})",
            hint="name it with --vector-column",
        )
    raise TableError(
        f"{path}: no column of vectors (its columns are: {_listed(schema.names)})", hint=_HINT
    )


def _chosen_vectors(
    path: Path, schema: pyarrow.Schema, by_name: dict[str, str], chosen: str
) -> tuple[str, ...]:
    name = by_name.get(chosen.strip().lower())
    if name is not None and _is_list(schema.field(name).type):
        return (name,)
    groups = _numbered(schema, lambda stem: stem.lower() == chosen.strip().lower())
    if len(groups) == 1:
        return next(iter(groups.values()))
    _named(path, by_name, chosen, "--vector-column")
    raise TableError(f"{path}: the column {chosen!r} holds no lists of numbers", hint=_HINT)


def _numbered(schema: pyarrow.Schema, wanted: Callable[[str], bool]) -> dict[str, tuple[str, ...]]:
    """Columns of numbers whose names end in a number that counts from 0 or 1; by their stem."""
    groups: dict[str, dict[int, str]] = {}
    for entry in schema:
        match = _NUMBERED.fullmatch(entry.name.strip())
        if match is not None and _is_number(entry.type) and wanted(match[1]) and len(match[2]) < 6:
            groups.setdefault(match[1], {})[int(match[2])] = entry.name
    found = {}
    for stem, names in groups.items():
        ordered = sorted(names)
        if len(ordered) >= _FEWEST and ordered == _counted(ordered):
            found[stem] = tuple(names[number] for number in ordered)
    return found


def _counted(numbers: Sequence[int]) -> list[int]:
    first = min(1, numbers[0])
    return list(range(first, first + len(numbers)))


def _coordinates(schema: pyarrow.Schema, by_name: dict[str, str]) -> tuple[str, str] | None:
    for lon, lat in COORDINATES:
        if lon in by_name and lat in by_name:
            names = by_name[lon], by_name[lat]
            if all(_is_number(schema.field(name).type) for name in names):
                return names
    return None


def _is_number(kind: pyarrow.DataType) -> bool:
    return bool(types.is_floating(kind) or types.is_integer(kind))


def _is_list(kind: pyarrow.DataType) -> bool:
    if not (types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)):
        return False
    return _is_number(kind.value_type)
