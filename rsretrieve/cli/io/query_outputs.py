"""The files that `rsretrieve query` writes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rsretrieve._core.paths import Location
from rsretrieve.cli.terminal import Terminal
from rsretrieve.export.output_paths import OutputPaths

if TYPE_CHECKING:
    from rsretrieve.index.store.folder import IndexStore
    from rsretrieve.search.search import QueryResult
    from rsretrieve.search.similarity_map import SceneWindows


@dataclass(frozen=True)
class QueryOutputs:
    """The files to write; None for those not wanted.

    Attributes:
        trusted: files that the shown tiles refer to are opened, too (--trust-sources).
    """

    csv: Path | None
    geojson: Path | None
    geoparquet: Path | None
    gpkg: Path | None
    sheet: Path | None
    similarity_map: Path | None
    overwrite: bool
    trusted: bool = False

    def paths(self, inputs: Mapping[str, str | Path | None]) -> OutputPaths:
        """The output paths, to be checked against the inputs."""
        files = {
            "--csv": self.csv,
            "--geojson": self.geojson,
            "--geoparquet": self.geoparquet,
            "--gpkg": self.gpkg,
            "--sheet": self.sheet,
        }
        maps = {"--similarity-map": self.similarity_map}
        if self._maps_are_a_folder:
            return OutputPaths(files, maps, inputs, self.overwrite)
        return OutputPaths({**files, **maps}, inputs=inputs, overwrite=self.overwrite)

    @property
    def _maps_are_a_folder(self) -> bool:
        from rsretrieve.export.output_paths import is_one_raster

        return self.similarity_map is not None and not is_one_raster(self.similarity_map)

    def check(self, queries: int) -> None:
        """Check the formats that suffixes name, before the work starts.

        Args:
            queries: number of queries, as far as it is known.

        Raises:
            InvalidArgument: the suffix of `gpkg` is of another format, or a similarity map is
                wanted of several queries.
        """
        if self.similarity_map is not None and queries > 1:
            from rsretrieve.export.similarity_rasters import require_one_query

            require_one_query(queries)
        if self.gpkg is not None:
            from rsretrieve.export.vector_files import check_suffix

            check_suffix(self.gpkg)

    def scenes(self, store: IndexStore) -> list[SceneWindows]:
        """The scenes whose similarity maps are wanted, checked before the search."""
        if self.similarity_map is None:
            return []
        from rsretrieve.export.similarity_rasters import scenes_to_map

        return scenes_to_map(store, self.similarity_map, overwrite=self.overwrite)

    def write_maps(
        self,
        store: IndexStore,
        scenes: Sequence[SceneWindows],
        results: Sequence[QueryResult],
        terminal: Terminal,
    ) -> None:
        """Write the similarity maps, if they are wanted."""
        if self.similarity_map is None:
            return
        from rsretrieve.export.similarity_rasters import write_similarity_maps

        notices = write_similarity_maps(
            self.similarity_map, store, scenes, results, overwrite=self.overwrite
        )
        terminal.notice(*notices)

    def write(
        self,
        store: IndexStore,
        model: Path | None,
        results: Sequence[QueryResult],
        terminal: Terminal,
    ) -> None:
        """Write all wanted files but similarity maps."""
        if self.csv is not None:
            from rsretrieve.export.results import write_hits_csv

            write_hits_csv(self.csv, results, overwrite=self.overwrite)
        if self.geojson is not None:
            from rsretrieve.export.geojson import write_geojson

            placed = write_geojson(self.geojson, results, overwrite=self.overwrite)
            _notice_unplaced(self.geojson, placed, results, terminal)
        if self.geoparquet is not None:
            from rsretrieve.export.geoparquet import provenance_of, write_hits

            metadata = {"index": str(store.folder), **provenance_of(store)}
            placed = write_hits(self.geoparquet, results, metadata, overwrite=self.overwrite)
            _notice_unplaced(self.geoparquet, placed, results, terminal)
        if self.gpkg is not None:
            from rsretrieve.export import vector_files

            placed = vector_files.write_hits(self.gpkg, results, overwrite=self.overwrite)
            _notice_unplaced(self.gpkg, placed, results, terminal)
        if self.sheet is not None:
            from rsretrieve.export.contact_sheet import write_query_sheet

            bands = bands_of(model)
            write_query_sheet(
                self.sheet, results, bands, overwrite=self.overwrite, trusted=self.trusted
            )
            _notice_missing(self.sheet, store.folder, results, terminal)


def _notice_unplaced(
    path: Path, placed: int, results: Sequence[QueryResult], terminal: Terminal
) -> None:
    unplaced = sum(len(result.hits) for result in results) - placed
    if unplaced and path.suffix.lower() == ".fgb":
        terminal.notice(f"{unplaced} hits have no georeference; {path} leaves them out")
    elif unplaced:
        terminal.notice(f"{unplaced} hits have no georeference; their geometry is null in {path}")


def _notice_missing(
    sheet: Path, index: Path, results: Sequence[QueryResult], terminal: Terminal
) -> None:
    """Say which pictures are missing because the files are no longer where they were indexed."""
    paths = dict.fromkeys(hit.found.path for result in results for hit in result.hits)
    local = [path for path in paths if path and Location.parse(path).is_local]
    if gone := [path for path in local if not os.path.lexists(path)]:
        terminal.notice(
            f"files of hits that are no longer there: {len(gone)} ({gone[0]}); {sheet} lacks their "
            f"pictures. If they were moved: rsretrieve index TILES --update --output {index}"
        )


def bands_of(model: Path | None) -> tuple[int, ...]:
    """The bands that the model uses; empty if there is no model or its folder is gone."""
    from rsretrieve.errors import ModelError
    from rsretrieve.network.metadata import read_description

    if model is None:
        return ()
    try:
        return read_description(model).preprocessing.bands
    except ModelError:
        return ()
