"""`rsretrieve query`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rsretrieve.cli import options
from rsretrieve.cli.terminal import Terminal


def query(
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGE...", help="Image files; FILE#COL,ROW,WIDTH,HEIGHT is a window of one."
        ),
    ],
    index: options.Index,
    k: Annotated[int, typer.Option("-k", min=1, help="How many hits for each image.")] = 10,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the hits as CSV.")] = None,
    geojson: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the hits' footprints (lon, lat) as GeoJSON."),
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="Draw each image with its hits, as a picture."),
    ] = None,
    exclude_self: Annotated[
        bool, typer.Option("--exclude-self", help="Leave out hits that are the image's own file.")
    ] = False,
    model: options.IndexModel = None,
    device: options.Device = "auto",
    overwrite: options.Overwrite = False,
    strict: options.Strict = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Find the indexed tiles most like an image, and where on Earth they lie."""
    with Terminal(as_json=as_json, quiet=quiet) as terminal:
        from rsretrieve.cli.render import hit_table
        from rsretrieve.learning.device import choose_device
        from rsretrieve.learning.model_store import load_model
        from rsretrieve.report.geo import write_geojson
        from rsretrieve.report.records import query_json, write_hits_csv
        from rsretrieve.report.sheets import write_query_sheet
        from rsretrieve.retrieval.index_store import open_index
        from rsretrieve.retrieval.search import model_folder_of, query_images
        from rsretrieve.storage import refuse_to_overwrite
        from rsretrieve.tiles.catalog import tiles_of_images
        from rsretrieve.tiles.stream import FailureLog

        for path in filter(None, (csv, geojson, sheet)):
            refuse_to_overwrite(path, overwrite=overwrite)
        store = open_index(index)
        loaded = load_model(model or model_folder_of(store), choose_device(device))
        log = FailureLog(strict=strict)
        results = query_images(
            store,
            loaded,
            tiles_of_images(images),
            k,
            log,
            terminal.listen,
            exclude_self=exclude_self,
        )
        if csv is not None:
            write_hits_csv(csv, results, overwrite=overwrite)
        if geojson is not None:
            placed = write_geojson(geojson, results, overwrite=overwrite)
            unplaced = sum(len(result.hits) for result in results) - placed
            if unplaced:
                terminal.notice(f"{unplaced} hits have no georeference: null in {geojson}")
        if sheet is not None:
            bands = loaded.description.preprocessing.bands
            write_query_sheet(sheet, results, bands, overwrite=overwrite)
        terminal.result(query_json(index, loaded.folder, results), *map(hit_table, results))
        raise typer.Exit(terminal.failures(log.failures))
