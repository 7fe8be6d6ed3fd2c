"""Find changes between two dates, for Python."""

from __future__ import annotations

from functools import partial
from typing import TypeAlias

from rsretrieve.api.arguments.checks import PathLike, flag, path_of, whole
from rsretrieve.api.call_report import CallReport, Progress
from rsretrieve.api.finding.placed_files import PlacedFiles
from rsretrieve.api.indexes.index_opening import open_index
from rsretrieve.api.opened_index import DateLike, Index, IndexLike, opened_model
from rsretrieve.data.dates.periods import interval_of_values
from rsretrieve.export.found.change_files import (
    change_table,
    write_change_maps,
    write_change_sheet,
)
from rsretrieve.export.found.placed_table import PlacedTable
from rsretrieve.export.output_paths import OutputPaths, is_one_raster
from rsretrieve.export.similarity_rasters import scenes_to_map
from rsretrieve.index.store.folder import IndexStore
from rsretrieve.search.changes import find_changes as changes_of_indexes

Dates: TypeAlias = "DateLike | tuple[DateLike | None, DateLike | None]"


class Changes(PlacedFiles):
    """Places, those that changed most first.

    Made by `change`. Its tables and files have a row for each place: `rank`, `tile`, `before`,
    `change` (the length of what the overall shift does not explain), `deviation` (in robust
    standard deviations above the median), `similarity` (cosine, uncorrected), paths and dates.

    Attributes:
        shift: the length of the overall shift, 0…2.
        alone_before: number of earlier tiles without a counterpart.
        alone_after: number of later tiles without a counterpart.
        found: the same as the library's inner functions take it.

    Example:
        >>> import rsretrieve
        >>> windows = rsretrieve.open_tiles("scene.tif", window=32)
        >>> early = rsretrieve.build_index(windows, "models/mine", "in-spring")
        >>> late = rsretrieve.build_index(windows, "models/mine", "in-autumn")
        >>> changes = rsretrieve.change(early, late)
        >>> len(changes.to_dataframe()) == len(changes.to_geodataframe()) == len(changes) == 144
        True
        >>> changes.to_csv("changed.csv")
        >>> changes.to_geojson("changed.geojson")
        >>> changes.to_geoparquet("changed.parquet")
        >>> changes.to_geotiff("changed.tif")
        >>> changes.to_sheet("changed.png", k=3)
    """

    def __init__(self, found: changes_of_indexes.Changes, bands: tuple[int, ...]) -> None:
        self.found, self._bands = found, bands
        self.shift = found.shift
        self.alone_before = found.counterparts.alone_before
        self.alone_after = found.counterparts.alone_after

    def __len__(self) -> int:
        """The number of places."""
        return len(self.found)

    def to_geotiff(self, path: PathLike, *, overwrite: bool = False) -> None:
        """Write the change of every window of the later scenes, as GeoTIFF (float32).

        Args:
            path: a file (`.tif`), or a folder for a file for each scene.
            overwrite: replace what is there.

        Raises:
            InvalidArgument: an argument is of a wrong type.
            InputError: the index has no windows of a scene, or several scenes for one file.
            OutputExists, OutputRefused: `path` may not be written.
        """
        with CallReport(None) as call:
            target, replaces = path_of(path, "path"), flag(overwrite, "overwrite")
            given = {"path": target}
            files, folder = (given, {}) if is_one_raster(target) else ({}, given)
            inputs = {f"index {n}": s.folder for n, s in enumerate(self._stores(), 1)}
            paths = OutputPaths(files, folder, inputs, replaces)
            paths.check()
            for store in self._stores():
                paths.check_tiles(partial(store.rows.column, "path"))
            later = self.found.after
            scenes = scenes_to_map(later.store, target, overwrite=replaces, rows=later.rows)
            call.notice(*write_change_maps(target, self.found, scenes, overwrite=replaces))

    def to_sheet(
        self, path: PathLike, k: int = 10, *, overwrite: bool = False, trust_sources: bool = False
    ) -> None:
        """Draw the places that changed most, before and after, as a PNG picture.

        Args:
            path: the file to write.
            k: number of places.
            overwrite: replace a file that is there.
            trust_sources: open whatever the tiles' files name, too.

        Raises:
            InvalidArgument: an argument is of a wrong type.
            OutputExists, OutputRefused: `path` may not be written.
        """
        with CallReport(None):
            file, replaces = self._output(path, overwrite)
            write_change_sheet(
                file,
                self.found,
                whole(k, "k", 1),
                self._bands,
                overwrite=replaces,
                trusted=flag(trust_sources, "trust_sources"),
            )

    def _table(self) -> PlacedTable:
        return change_table(self.found)

    def _stores(self) -> tuple[IndexStore, ...]:
        return self.found.before.store, self.found.after.store

    def __repr__(self) -> str:
        return f"<Changes: {len(self):,} places, overall shift {self.shift:.3f}>"


def change(
    before: IndexLike,
    after: IndexLike | None = None,
    *,
    before_dates: Dates | None = None,
    after_dates: Dates | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Changes:
    """Find the places that changed most between two indexes, or two dates of one.

    What changed everywhere (season, sensor, light) is learned from the pairs and subtracted.

    Args:
        before: the index of the earlier date, open or its folder.
        after: that of the later date; None for the same index, with dates.
        before_dates: only tiles of `before` that were taken then; see `Index.search`.
        after_dates: only tiles of `after` that were taken then.
        seed: the random seed of the division into parts that are predicted in turn.
        progress: called with every event; see `rsretrieve.progress`.

    Returns:
        The places.

    Raises:
        InvalidArgument: an argument is of a wrong type, or one index is compared with itself.
        InputError: no tile has a counterpart, or none has a date.
        ModelMismatch: the indexes have different models.

    Example:
        >>> import rsretrieve
        >>> windows = rsretrieve.open_tiles("scene.tif", window=32)
        >>> early = rsretrieve.build_index(windows, "models/mine", "early")
        >>> late = rsretrieve.build_index(windows, "models/mine", "late")
        >>> len(rsretrieve.change(early, late))
        144
    """
    with CallReport(progress) as call:
        early = open_index(before)
        late: Index = early if after is None else open_index(after)
        sides = [
            changes_of_indexes.Side(
                opened.store,
                None if dates is None else interval_of_values(dates, name),
                "" if dates is None else str(dates),
            )
            for opened, dates, name in (
                (early, before_dates, "before_dates"),
                (late, after_dates, "after_dates"),
            )
        ]
        found = changes_of_indexes.find_changes(sides[0], sides[1], whole(seed, "seed"))
        call.notice(*found.notices)
        return Changes(found, opened_model(late).bands)
