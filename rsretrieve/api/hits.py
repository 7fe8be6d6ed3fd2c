"""The answer to a query, for Python."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, overload

from rsretrieve.api.arguments.checks import PathLike, flag, path_of
from rsretrieve.api.call_report import CallReport
from rsretrieve.api.dataframes import frame, placed_frame
from rsretrieve.api.notebook import short, table_html
from rsretrieve.data.dates.acquisition_time import AcquisitionTime
from rsretrieve.data.geo.place import Place
from rsretrieve.export.contact_sheet import write_query_sheet
from rsretrieve.export.found.placed_table import place_columns
from rsretrieve.export.output_paths import OutputPaths
from rsretrieve.export.results import result_json
from rsretrieve.search.search import QueryResult

if TYPE_CHECKING:
    from pathlib import Path

    import geopandas
    import pandas

_COLUMNS = ("rank", "tile", "similarity", "label")
_LINES = 5


@dataclass(frozen=True)
class Hit:
    """A tile of the index that answers a query.

    Attributes:
        rank: from 1.
        tile: its id.
        path: of its file.
        similarity: the cosine, −1…1, higher is closer.
        label: its label as given, or None.
        place: where it lies (`crs`, `bounds`, `footprint`, `centre`), or None.
        taken: when it was taken: a pair of `datetime.datetime` in UTC, the same twice for an
            instant; None if its date is unknown.

    Example:
        >>> import rsretrieve
        >>> best = rsretrieve.open_index("index").search("beach/beach_1_7.tif")[0]
        >>> best.rank, best.tile, best.label, round(best.similarity, 3)
        (1, 'beach/beach_1_7.tif', 'beach', 1.0)
    """

    rank: int
    tile: str
    path: str
    similarity: float
    label: str | None
    place: Place | None
    taken: tuple[datetime, datetime] | None = None


def _ends(taken: AcquisitionTime | None) -> tuple[datetime, datetime] | None:
    return None if taken is None else (taken.period.start, taken.period.end)


class Hits(Sequence[Hit]):
    """The hits of a query, best first.

    Made by `Index.search`. `len(hits)`, `for hit in hits`, `hits[0]` and `hits[:3]` work.

    Attributes:
        query: what was asked for: a file, a window, a tile's id, or "a vector".
        expanded: whether the query was expanded by its nearest hits; `similarity` is then that
            to the expanded query.

    Example:
        >>> import rsretrieve
        >>> hits = rsretrieve.open_index("index").search("beach/beach_1_7.tif", k=3)
        >>> hits[0].rank, hits[0].tile, hits[0].label
        (1, 'beach/beach_1_7.tif', 'beach')
        >>> list(hits.to_dataframe().columns)[:5]
        ['query', 'rank', 'tile', 'path', 'similarity']
    """

    def __init__(self, result: QueryResult, bands: tuple[int, ...], index: Path) -> None:
        self.query, self.expanded = result.query, result.expanded
        self._result, self._bands, self._index = result, bands, index
        self._hits = tuple(
            Hit(
                rank=hit.rank,
                tile=hit.found.id,
                path=hit.found.path,
                similarity=hit.similarity,
                label=hit.found.label,
                place=hit.found.place,
                taken=_ends(hit.found.taken),
            )
            for hit in result.hits
        )

    def __len__(self) -> int:
        return len(self._hits)

    @overload
    def __getitem__(self, position: int) -> Hit: ...
    @overload
    def __getitem__(self, position: slice) -> tuple[Hit, ...]: ...
    def __getitem__(self, position: int | slice) -> Hit | tuple[Hit, ...]:
        return self._hits[position]

    def to_dataframe(self) -> pandas.DataFrame:
        """A pandas DataFrame, a row a hit: the columns of `query --csv`.

        Raises:
            MissingPackage: pandas is not installed.

        Example:
            >>> import rsretrieve
            >>> hits = rsretrieve.open_index("index").search("beach/beach_1_7.tif", k=3)
            >>> list(hits.to_dataframe()["rank"])
            [1, 2, 3]
        """
        return frame(self._columns())

    def to_geodataframe(self) -> geopandas.GeoDataFrame:
        """A GeoPandas table, a row a hit, its footprint in longitude and latitude as geometry.

        Raises:
            MissingPackage: GeoPandas is not installed.

        Example:
            >>> import rsretrieve
            >>> hits = rsretrieve.open_index("index").search("beach/beach_1_7.tif", k=3)
            >>> places = hits.to_geodataframe()
            >>> places.crs.to_string(), places.geometry[0].geom_type
            ('EPSG:4326', 'Polygon')
        """
        return placed_frame(self._columns(), [hit.place for hit in self])

    def to_json(self) -> str:
        """The query and its hits as a JSON object: a line of `query --jsonl`.

        Example:
            >>> import json, rsretrieve
            >>> hits = rsretrieve.open_index("index").search("beach/beach_1_7.tif", k=3)
            >>> json.loads(hits.to_json())["hits"][0]["tile"]
            'beach/beach_1_7.tif'
        """
        return json.dumps(result_json(self._result), allow_nan=False)

    def to_sheet(
        self, path: PathLike, *, overwrite: bool = False, trust_sources: bool = False
    ) -> None:
        """Draw the query with its hits, as a PNG picture.

        Args:
            path: the file to write.
            overwrite: replace a file that is there.
            trust_sources: open whatever the tiles' files name, too.

        Raises:
            InvalidArgument: an argument is of a wrong type.
            OutputExists, OutputRefused: `path` may not be written.

        Example:
            >>> import rsretrieve
            >>> hits = rsretrieve.open_index("index").search("beach/beach_1_7.tif", k=3)
            >>> hits.to_sheet("hits.png")
        """
        with CallReport(None):
            file, replaces = path_of(path, "path"), flag(overwrite, "overwrite")
            outputs = OutputPaths({"path": file}, {}, {"index": self._index}, replaces)
            outputs.check()
            shown = () if self._result.picture is None else (self._result.picture.path,)
            outputs.check_tiles(lambda: (*shown, *(hit.path for hit in self)))
            trusted = flag(trust_sources, "trust_sources")
            write_query_sheet(
                file, [self._result], self._bands, overwrite=replaces, trusted=trusted
            )

    def __repr__(self) -> str:
        lines = [f"<Hits of {short(self.query)!r}: {len(self)}>"]
        lines += [
            f"{hit.rank:>4}  {hit.similarity:.3f}  {short(hit.tile)}" for hit in self[:_LINES]
        ]
        return "\n".join(lines + ["   …"] * (len(self) > _LINES))

    def _repr_html_(self) -> str:
        rows = ([getattr(hit, name) for name in _COLUMNS] for hit in self)
        return table_html(f"hits of {self.query}", _COLUMNS, rows)

    def _columns(self) -> dict[str, list[object]]:
        return {
            "query": [self.query] * len(self),
            "rank": [hit.rank for hit in self],
            "tile": [hit.tile for hit in self],
            "path": [hit.path for hit in self],
            "similarity": [hit.similarity for hit in self],
            "label": [hit.label for hit in self],
            **place_columns([hit.place for hit in self]),
            **({"expanded": [True] * len(self)} if self.expanded else {}),
        }
