"""Indexes for Python: build one, open one, search it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rsretrieve.api.arguments.checks import (
    PathLike,
    device_name,
    flag,
    optional_path,
    path_of,
    whole,
    wrong,
)
from rsretrieve.api.arguments.query_argument import filters_of, query_fields
from rsretrieve.api.call_report import CallReport, Progress
from rsretrieve.api.dataframes import frame, place_columns, placed_frame
from rsretrieve.api.hits import Hits
from rsretrieve.api.model_of_index import ModelOfIndex
from rsretrieve.api.notebook import facts_html, short, some_names
from rsretrieve.api.trained_model import Model, ModelLike, model_path
from rsretrieve.data.failures import Failure
from rsretrieve.data.geo.place import Place
from rsretrieve.data.tile import Trust
from rsretrieve.errors import InvalidArgument
from rsretrieve.export.geoparquet import write_embeddings
from rsretrieve.export.output_paths import OutputPaths
from rsretrieve.export.vector_files import DRIVERS, write_tiles
from rsretrieve.index.compatibility import require_same_model
from rsretrieve.index.maintenance.verify import Verification, verify_index
from rsretrieve.index.store import folder as index_folder
from rsretrieve.index.store.folder import IndexStore
from rsretrieve.network.metadata import ModelFolder
from rsretrieve.search.query import QueryRequest
from rsretrieve.search.search import run_queries

if TYPE_CHECKING:
    import geopandas
    import pandas


class Index:
    """An index folder that is open for search.

    Made by `build_index`, `build_index_from_embeddings` and `open_index`. An index that is
    replaced or brought up to date must be opened again; this one stays as it was.

    Attributes:
        store: the same index as the library's inner functions take it.
        failures: the tiles that could not be used when it was built, each with a `reason`.

    Example:
        >>> import rsretrieve
        >>> index = rsretrieve.open_index("index")
        >>> index
        <Index 'index': 144 tiles, 9 classes, 16 dimensions, Flat>
        >>> index.search("beach/beach_1_7.tif", k=5)[0].label
        'beach'
    """

    def __init__(
        self,
        store: IndexStore,
        model: Model | Path | None = None,
        device: str = "auto",
        failures: Sequence[Failure] = (),
    ) -> None:
        self.store = store
        self.failures = tuple(failures)
        self._model = ModelOfIndex(store, model, device)

    @property
    def path(self) -> Path:
        """The index folder."""
        return self.store.folder

    @property
    def embeddings(self) -> NDArray[np.float32]:
        """(N, D) float32 unit vectors, read-only; row i is tile i of `to_dataframe()`."""
        return self.store.vectors

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """The labels that occur, sorted."""
        labels = {*self.store.rows.column("label")} - {None}
        return tuple(sorted(labels))

    def __len__(self) -> int:
        return self.store.manifest.tiles

    def search(
        self,
        query: PathLike | tuple[float, float] | Sequence[float] | NDArray[np.floating],
        k: int = 10,
        *,
        labels: str | Sequence[str] | None = None,
        bbox: Sequence[float] | None = None,
        within: PathLike | None = None,
        min_similarity: float | None = None,
        exclude_self: bool = False,
        distinct_scene: bool = False,
        fold_duplicates: bool = False,
        duplicate_similarity: float | None = None,
        trust_sources: bool = False,
        progress: Progress | None = None,
    ) -> Hits:
        """Find the tiles that are most similar to a query.

        Args:
            query: the path or URL of an image, of a window of one
                (`FILE#COL,ROW,WIDTH,HEIGHT`) or of a `.npy` of one vector; the id of a tile of
                the index; a (lon, lat) in degrees, for the tile that holds the point; or a
                vector (D,). A str that is both an id and a file is the id; a Path is a file.
            k: how many hits.
            labels: only tiles of this label, or of these.
            bbox: only tiles whose footprint meets west, south, east, north in degrees; west >
                east crosses the antimeridian.
            within: only tiles that lie whole in the polygons of this GeoJSON file.
            min_similarity: only hits at least this similar, −1…1.
            exclude_self: leave out the query's own file and window.
            distinct_scene: of each file the best hit only.
            fold_duplicates: leave out hits that are at least 0.999 similar to a better one.
            duplicate_similarity: fold from this similarity on, instead.
            trust_sources: open whatever the query's file names, too.
            progress: called with every event; see `rsretrieve.progress`.

        Returns:
            The hits, best first.

        Raises:
            InvalidArgument: an argument is of a wrong type, or makes no sense.
            InputError: the query names neither a tile, a file nor a place of the index.
            LabelsError: no tile has such a label.
            NoUsableTiles: the image cannot be read.
            ModelNotFound, ModelMismatch: the model of the index cannot be had, or is another.

        Example:
            >>> import rsretrieve
            >>> index = rsretrieve.open_index("index")
            >>> len(index.search("tiles/beach/beach_1_7.tif", k=3))
            3
            >>> hits = index.search(index.embeddings[0], k=2, labels=["beach", "road"])
            >>> {hit.label for hit in hits} <= {"beach", "road"}
            True
        """
        with CallReport(progress) as call:
            filters = filters_of(
                labels=labels,
                bbox=bbox,
                within=within,
                min_similarity=min_similarity,
                exclude_self=exclude_self,
                distinct_scene=distinct_scene,
                fold_duplicates=fold_duplicates,
                duplicate_similarity=duplicate_similarity,
            )
            trusted = flag(trust_sources, "trust_sources")
            request = QueryRequest(
                k=whole(k, "k", 1),
                filters=filters,
                trust=Trust.TRUSTED if trusted else Trust.NAMED,
                **query_fields(self.store, query),
            )
            [result] = run_queries(self.store, request, self._model.search_context(call))
        return Hits(result, self._model.bands, self.path)

    def to_dataframe(self) -> pandas.DataFrame:
        """A pandas DataFrame, a row a tile: `tile`, `path`, `label`, `crs`, `lon`, `lat`.

        Raises:
            MissingPackage: pandas is not installed.
        """
        return frame({**self._columns(), **place_columns(self._places)})

    def to_geodataframe(self) -> geopandas.GeoDataFrame:
        """A GeoPandas table: `tile`, `path`, `label`, and each footprint as geometry.

        Geometries are in longitude and latitude; None where a tile has no georeference.

        Raises:
            MissingPackage: GeoPandas is not installed.

        Example:
            >>> import rsretrieve
            >>> table = rsretrieve.open_index("index").to_geodataframe()
            >>> len(table), table.crs.to_string(), table.geometry[0].geom_type
            (144, 'EPSG:4326', 'Polygon')
        """
        return placed_frame(self._columns(), self._places)

    def export(
        self, path: PathLike, *, stac: PathLike | None = None, overwrite: bool = False
    ) -> None:
        """Write the tiles to a file for other programs.

        Args:
            path: the file. `.gpkg` and `.fgb` are GeoPackage and FlatGeobuf, with ids, labels and
                footprints; any other suffix is GeoParquet, which has the embeddings, too.
            stac: a file for a STAC collection that describes the GeoParquet file.
            overwrite: replace files that are there.

        Raises:
            InvalidArgument: an argument is of a wrong type, or `stac` goes with another format.
            OutputExists, OutputRefused: a file may not be written.

        Example:
            >>> import rsretrieve
            >>> rsretrieve.open_index("index").export("tiles.gpkg")
        """
        with CallReport(None):
            file, replaces = path_of(path, "path"), flag(overwrite, "overwrite")
            described = optional_path(stac, "stac")
            files = {"path": file, "stac": described}
            OutputPaths(files, {}, {"index": self.path}, replaces).check()
            if file.suffix.lower() in DRIVERS:
                if described is not None:
                    raise InvalidArgument(f"stac describes GeoParquet, not {file}")
                write_tiles(file, self.store, overwrite=replaces)
            else:
                write_embeddings(file, self.store, overwrite=replaces, stac=described)

    def verify(self, *, progress: Progress | None = None) -> Verification:
        """Check every count and checksum, and embed a sample of the tiles again.

        Args:
            progress: called with every event; see `rsretrieve.progress`.

        Returns:
            What was found: `sound`, `problems`, `hint`, and counts.

        Raises:
            IndexNotFound: the folder is gone.

        Example:
            >>> import rsretrieve
            >>> rsretrieve.open_index("index").verify().sound
            True
        """
        with CallReport(progress) as call:
            return verify_index(
                self.path, lambda found: self._model.network(found, call), call.context
            )

    def __repr__(self) -> str:
        manifest = self.store.manifest
        return (
            f"<Index {short(self.path)!r}: {len(self):,} tiles, {len(self.class_names)} classes, "
            f"{manifest.dimensions} dimensions, {short(manifest.faiss_key)}>"
        )

    def _repr_html_(self) -> str:
        manifest = self.store.manifest
        facts = {
            "tiles": f"{len(self):,}",
            "classes": f"{len(self.class_names)}: {some_names(self.class_names)}",
            "vectors": f"{manifest.dimensions} dimensions",
            "kind": f"{manifest.faiss_key}, recall@10 {manifest.recall_at_10:.3f}",
            "model": str(
                manifest.model_path(self.path) or "none: the embeddings were made elsewhere"
            ),
        }
        return facts_html(f"index {self.path}", facts)

    def _columns(self) -> dict[str, list[object]]:
        rows = self.store.rows
        named = {"tile": "id", "path": "path", "label": "label"}
        return {name: rows.column(column) for name, column in named.items()}

    @cached_property
    def _places(self) -> list[Place | None]:
        return [row.place for row in self.store.rows]


IndexLike = Index | PathLike


def open_index(path: IndexLike, *, model: ModelLike | None = None, device: str = "auto") -> Index:
    """Open an index folder for search.

    Args:
        path: the folder that `build_index` wrote.
        model: the model it was built with, if that was moved.
        device: `auto`, `cpu`, `cuda` or `cuda:N`; what embeds queries and searches.

    Returns:
        The index.

    Raises:
        InvalidArgument: an argument is of a wrong type.
        IndexNotFound: there is no index.
        IndexDamaged: a file is missing or was changed, or a newer version wrote it.
        ModelMismatch: `model` is another one.

    Example:
        >>> import rsretrieve
        >>> len(rsretrieve.open_index("index"))
        144
    """
    with CallReport(None) as call:
        if isinstance(path, Index):
            return path
        if not isinstance(path, str | os.PathLike):
            raise wrong("index", "a path or an open index", path)
        store, name = index_folder.open_index(path_of(path, "index")), device_name(device)
        if model is None:
            return Index(store, None, name)
        chosen = model if isinstance(model, Model) else model_path(model, call)
        described = chosen.loaded if isinstance(chosen, Model) else ModelFolder.read(chosen)
        require_same_model(store.folder, store.manifest, described)
        return Index(store, chosen, name)
