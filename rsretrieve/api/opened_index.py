"""Indexes for Python: build one, open one, search it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rsretrieve.api.arguments.checks import (
    PathLike,
    flag,
    path_of,
    whole,
)
from rsretrieve.api.arguments.query_argument import filters_of, query_fields
from rsretrieve.api.call_report import CallReport, Progress
from rsretrieve.api.hits import Hits
from rsretrieve.api.model_of_index import ModelOfIndex
from rsretrieve.api.notebook import facts_html, short, some_names
from rsretrieve.api.tables.index_tables import IndexTables
from rsretrieve.api.trained_model import Model
from rsretrieve.data.failures import Failure
from rsretrieve.data.tile import Trust
from rsretrieve.export.output_paths import OutputPaths, is_one_raster
from rsretrieve.export.similarity_rasters import scenes_to_map, write_similarity_maps
from rsretrieve.index.maintenance.verify import Verification, verify_index
from rsretrieve.index.store.folder import IndexStore
from rsretrieve.search.query import QueryRequest
from rsretrieve.search.search import run_queries

if TYPE_CHECKING:
    from datetime import date


DateLike: TypeAlias = "str | date"  # a `datetime.datetime` is one, too


class Index(IndexTables):
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
        datetime: DateLike | tuple[DateLike | None, DateLike | None] | None = None,
        min_similarity: float | None = None,
        exclude_self: bool = False,
        distinct_scene: bool = False,
        fold_duplicates: bool = False,
        duplicate_similarity: float | None = None,
        no_overlap: bool = False,
        expand: bool = False,
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
            datetime: only tiles taken in this interval, both ends included: `2020-06-30`, `2020`,
                `2020-06/2021`, `../2020`; a `datetime.date`, which is the whole day, or a
                `datetime.datetime`; or a pair of these, of which one may be None. Without a time
                zone, times are UTC. Tiles without a date are left out, and counted in a warning.
            min_similarity: only hits at least this similar, −1…1.
            exclude_self: leave out the query's own file and window.
            distinct_scene: of each file the best hit only.
            fold_duplicates: leave out hits that are at least 0.999 similar to a better one.
            duplicate_similarity: fold from this similarity on, instead.
            no_overlap: leave out hits that overlap or touch the query or a better hit.
            expand: search again with the normalised sum of the query and its 10 nearest hits,
                each weighted by its similarity cubed; similarities are those to the sum.
            trust_sources: open whatever the query's file names, too.
            progress: called with every event; see `rsretrieve.progress`.

        Returns:
            The hits, best first.

        Raises:
            InvalidArgument: an argument is of a wrong type, or makes no sense.
            InputError: the query names neither a tile, a file nor a place of the index; or no tile
                has a date.
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
                datetime=datetime,
                min_similarity=min_similarity,
                exclude_self=exclude_self,
                distinct_scene=distinct_scene,
                fold_duplicates=fold_duplicates,
                duplicate_similarity=duplicate_similarity,
                no_overlap=no_overlap,
            )
            trusted = flag(trust_sources, "trust_sources")
            request = QueryRequest(
                k=whole(k, "k", 1),
                filters=filters,
                trust=Trust.TRUSTED if trusted else Trust.NAMED,
                expand=flag(expand, "expand"),
                **query_fields(self.store, query),
            )
            [result] = run_queries(self.store, request, self._model.search_context(call))
        return Hits(result, self._model.bands, self.path)

    def similarity_map(
        self,
        query: PathLike | tuple[float, float] | Sequence[float] | NDArray[np.floating],
        output: PathLike,
        *,
        expand: bool = False,
        trust_sources: bool = False,
        overwrite: bool = False,
        progress: Progress | None = None,
    ) -> None:
        """Write the similarity of every indexed window of a scene to a query, as GeoTIFF.

        One band, float32. A pixel is as large as the stride of the windows and has its centre at
        that of its window; NaN is where there is no window.

        Args:
            query: as for `search`.
            output: a file (`.tif`), or a folder for a file for each scene and a list of them.
            expand: as for `search`.
            trust_sources: open whatever the query's file names, too.
            overwrite: replace what is there.
            progress: called with every event; see `rsretrieve.progress`.

        Raises:
            InvalidArgument: an argument is of a wrong type.
            InputError: the index has no windows of a scene, or several scenes for one file.
            OutputExists, OutputRefused: `output` may not be written.

        Example:
            >>> import rsretrieve
            >>> windows = rsretrieve.open_tiles("scene.tif", window=32)
            >>> index = rsretrieve.build_index(windows, "models/mine", "windows")
            >>> index.similarity_map("scene.tif#64,64,32,32", "similarity.tif")
        """
        with CallReport(progress) as call:
            path, replaces = path_of(output, "output"), flag(overwrite, "overwrite")
            outputs = {"output": path}
            files, folder = (outputs, {}) if is_one_raster(path) else ({}, outputs)
            paths = OutputPaths(files, folder, {"index": self.path}, replaces)
            paths.check()
            paths.check_tiles(lambda: self.store.rows.column("path"))
            scenes = scenes_to_map(self.store, path, overwrite=replaces)
            trusted = flag(trust_sources, "trust_sources")
            request = QueryRequest(
                k=1,
                trust=Trust.TRUSTED if trusted else Trust.NAMED,
                expand=flag(expand, "expand"),
                **query_fields(self.store, query),
            )
            results = run_queries(self.store, request, self._model.search_context(call))
            written = write_similarity_maps(path, self.store, scenes, results, overwrite=replaces)
            call.notice(*written)

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
        counts = f"{len(self):,} tiles, {len(self.class_names)} classes"
        kind = f"{manifest.dimensions} dimensions, {short(manifest.faiss_key)}"
        return f"<Index {short(self.path)!r}: {counts}, {kind}>"

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


IndexLike = Index | PathLike


def opened_model(index: Index) -> ModelOfIndex:
    """What opens the model of an index."""
    return index._model
