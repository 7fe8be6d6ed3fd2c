"""`rsretrieve change`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from rsretrieve.cli import options
from rsretrieve.cli.early_checks import check_index
from rsretrieve.cli.io.finding.change_outputs import ChangeOutputs
from rsretrieve.cli.terminal import Terminal

_TWO = 2
_dates = partial(typer.Option, metavar="DATE[/DATE]", rich_help_panel="Dates")


def change(
    indexes: Annotated[
        list[Path],
        typer.Argument(
            metavar="INDEX [LATER]",
            help="Index of the earlier date, and that of the later one. With --before and --after, "
            "one index that holds both dates.",
        ),
    ],
    *,
    before_dates: Annotated[
        str | None,
        _dates(
            "--before",
            help="Only earlier tiles that were taken in this interval, as in STAC: 2020, "
            "2020-06/2020-08, ../2020.",
        ),
    ] = None,
    after_dates: Annotated[
        str | None,
        _dates("--after", help="Only later tiles that were taken in this interval."),
    ] = None,
    k: Annotated[
        int, typer.Option("-k", min=1, help="Number of places to show, those that changed most.")
    ] = 10,
    output: Annotated[
        Path | None, options.file_option(help="CSV of all places, those that changed most first.")
    ] = None,
    geojson: Annotated[Path | None, options.geojson_option("all places")] = None,
    geoparquet: Annotated[Path | None, options.geoparquet_option("all places")] = None,
    geotiff: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.tif|DIR",
            rich_help_panel=options.FILES,
            help="GeoTIFF (float32) on the grid of the later scene: the change of every window. "
            "DIR: one file for each scene.",
        ),
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.png",
            rich_help_panel=options.FILES,
            help="Picture: the -k places that changed most, before and after.",
        ),
    ] = None,
    trust_sources: options.TrustSources = False,
    seed: options.Seed = 0,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Find the places that changed most between two dates.

    Compares the embeddings of two indexes of the same places, or of two dates of one index. What
    changed everywhere (season, sensor, light) is learned from the pairs and subtracted.

    Example:
        rsretrieve change index-2020 index-2024 --output c.csv --sheet c.png
        rsretrieve change index --before 2020 --after 2024 --geotiff changes.tif

    Both indexes must have the same model, and tiles of the same size at the same places.
    """
    if len(indexes) > _TWO:
        raise typer.BadParameter(f"two dates are compared, not {len(indexes)} indexes")
    index, later = indexes[0], indexes[-1]
    outputs = ChangeOutputs(
        output=output,
        geojson=geojson,
        geoparquet=geoparquet,
        geotiff=geotiff,
        sheet=sheet,
        overwrite=overwrite,
        trusted=trust_sources,
    )
    paths = outputs.paths(options.inputs_of("INDEX", [*map(str, indexes)]))
    with Terminal(as_json=as_json, quiet=quiet) as terminal:
        paths.check()
        terminal.leave_output_to(paths.on_standard_output)
        for folder in indexes:
            check_index(folder)
        from rsretrieve.cli.io.finding.change_tables import change_rows, change_summary
        from rsretrieve.data.dates.periods import interval_of
        from rsretrieve.export.found.change_files import change_json
        from rsretrieve.index.store.folder import open_index
        from rsretrieve.search.changes.find_changes import Side, find_changes

        intervals = [
            None if text is None else interval_of(text, name)
            for text, name in ((before_dates, "--before"), (after_dates, "--after"))
        ]
        early = open_index(index)
        late = early if len(indexes) < _TWO else open_index(later)
        for store in (early, late):
            paths.check_tiles(partial(store.rows.column, "path"))
        before = Side(early, intervals[0], before_dates or "")
        after = Side(late, intervals[1], after_dates or "")
        scenes = outputs.scenes(after)
        found = find_changes(before, after, seed)
        terminal.notice(*found.notices)
        outputs.write(found, scenes, k, terminal)
        terminal.result(change_json(found, k), change_summary(found), change_rows(found, k))
