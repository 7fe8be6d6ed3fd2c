"""The files that `rsretrieve change` writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rsretrieve.cli.io.query_outputs import bands_of
from rsretrieve.cli.terminal import Terminal
from rsretrieve.export.output_paths import OutputPaths, is_one_raster

if TYPE_CHECKING:
    from rsretrieve.search.changes.find_changes import Changes, Side
    from rsretrieve.search.similarity_map import SceneWindows


@dataclass(frozen=True)
class ChangeOutputs:
    """The files to write; None for those not wanted."""

    output: Path | None
    geojson: Path | None
    geoparquet: Path | None
    geotiff: Path | None
    sheet: Path | None
    overwrite: bool
    trusted: bool

    def paths(self, inputs: Mapping[str, str | Path | None]) -> OutputPaths:
        """The output paths, to be checked against the inputs."""
        files = {
            "--output": self.output,
            "--geojson": self.geojson,
            "--geoparquet": self.geoparquet,
            "--sheet": self.sheet,
        }
        maps = {"--geotiff": self.geotiff}
        if self.geotiff is not None and not is_one_raster(self.geotiff):
            return OutputPaths(files, maps, inputs, self.overwrite)
        return OutputPaths({**files, **maps}, inputs=inputs, overwrite=self.overwrite)

    def scenes(self, later: Side) -> list[SceneWindows]:
        """The scenes of the later date whose maps are wanted, checked before the work."""
        if self.geotiff is None:
            return []
        from rsretrieve.export.similarity_rasters import scenes_to_map

        return scenes_to_map(later.store, self.geotiff, overwrite=self.overwrite, rows=later.rows)

    def write(
        self, found: Changes, scenes: list[SceneWindows], count: int, terminal: Terminal
    ) -> None:
        """Write all wanted files."""
        from rsretrieve.export.found.change_files import (
            change_table,
            write_change_maps,
            write_change_sheet,
        )
        from rsretrieve.export.found.placed_table import write_placed_files

        table = change_table(found)
        write_placed_files(
            table, self.output, self.geojson, self.geoparquet, overwrite=self.overwrite
        )
        if table.unplaced and (self.geojson or self.geoparquet):
            terminal.notice(f"{table.unplaced} places have no georeference; their geometry is null")
        if self.geotiff is not None:
            made = write_change_maps(self.geotiff, found, scenes, overwrite=self.overwrite)
            terminal.notice(*made)
        if self.sheet is not None:
            store = found.after.store
            bands = bands_of(store.manifest.model_path(store.folder))
            write_change_sheet(
                self.sheet, found, count, bands, overwrite=self.overwrite, trusted=self.trusted
            )
