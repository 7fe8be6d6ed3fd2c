"""`rsretrieve query`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from rsretrieve.cli import options
from rsretrieve.cli.early_checks import check_device, check_query, find_model
from rsretrieve.cli.io.query_inputs import (
    box,
    files_of,
    interval,
    point,
    require_given_model,
    search_context,
)
from rsretrieve.cli.io.query_outputs import QueryOutputs
from rsretrieve.cli.terminal import Terminal

_asked = partial(typer.Option, rich_help_panel="Other queries than images")
_filter = partial(typer.Option, rich_help_panel="Filters")
_output = partial(typer.Option, rich_help_panel=options.FILES)


def query(
    images: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="IMAGE",
            help="Image files; a window of a scene: FILE#COL,ROW,WIDTH,HEIGHT; or embeddings: "
            "FILE.npy of shape (D,) or (Q, D).",
        ),
    ] = None,
    *,
    index: options.Index,
    tile: Annotated[
        list[str] | None,
        _asked(metavar="ID", help="Id of a tile in the index. Needs no model. Repeatable."),
    ] = None,
    at: Annotated[
        list[str] | None,
        _asked(
            metavar="LON,LAT",
            help="Longitude and latitude of a point. The query is the indexed tile that contains "
            "it (the smallest, if several). Repeatable.",
        ),
    ] = None,
    like: Annotated[
        list[str] | None,
        _asked(
            metavar="EXAMPLE[@W]",
            help=f"Positive example: {options.EXAMPLE_HELP}. All --like and --unlike form one "
            "query: the weighted mean of the positives minus that of the negatives, "
            "L2-normalised. Default weights: 1 for --like, 0.5 for --unlike. Repeatable.",
        ),
    ] = None,
    unlike: Annotated[
        list[str] | None,
        _asked(metavar="EXAMPLE[@U]", help="Negative example, as for --like. Repeatable."),
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="Number of hits per query.")] = 10,
    expand: options.Expand = False,
    label: Annotated[
        list[str] | None,
        _filter(metavar="NAME", help="Only tiles with this label. Repeatable."),
    ] = None,
    bbox: Annotated[
        str | None,
        _filter(
            metavar="W,S,E,N",
            help="Only tiles whose footprint intersects this box (degrees; W > E crosses the "
            "antimeridian).",
        ),
    ] = None,
    within: Annotated[
        Path | None,
        _filter(
            metavar="FILE.geojson", help="Only tiles that lie completely within these polygons."
        ),
    ] = None,
    from_date: Annotated[
        str | None,
        _filter(
            "--from",
            metavar="DATE",
            help="Only tiles taken at or after this date or time (2020, 2020-06, 2020-06-30, "
            "2020-06-30T10:15:00Z). Without a time zone, times are UTC. Tiles without a date are "
            "left out.",
        ),
    ] = None,
    to_date: Annotated[
        str | None,
        _filter(
            "--to",
            metavar="DATE",
            help="Only tiles taken at or before this date or time; a date includes all of its day, "
            "month or year.",
        ),
    ] = None,
    datetime: Annotated[
        str | None,
        _filter(
            metavar="DATE[/DATE]",
            help="The same as one interval, as in STAC: 2020-06/2021, ../2020, 2020-06-30.",
        ),
    ] = None,
    min_similarity: Annotated[
        float | None,
        _filter(metavar="S", min=-1, max=1, help="Only hits with at least this cosine similarity."),
    ] = None,
    exclude_self: Annotated[
        bool,
        _filter("--exclude-self", help="Leave out the query's own file (and window)."),
    ] = False,
    distinct_scene: Annotated[
        bool,
        _filter(
            "--distinct-scene", help="Only the best hit of each file (of each scene, for windows)."
        ),
    ] = False,
    fold_duplicates: Annotated[
        bool,
        _filter(
            "--fold-duplicates",
            help="Leave out hits with a similarity of at least 0.999 to a better hit.",
        ),
    ] = False,
    duplicate_similarity: Annotated[
        float | None,
        _filter(
            metavar="S",
            min=-1,
            max=1,
            help="Like --fold-duplicates, but with this similarity. \\[default: 0.999]",
        ),
    ] = None,
    no_overlap: Annotated[
        bool,
        _filter(
            "--no-overlap",
            help="Leave out hits that overlap or touch the query or a better hit. Windows of a "
            "scene are compared by pixels, other tiles on the ground.",
        ),
    ] = False,
    csv: Annotated[
        Path | None,
        options.file_option(help="CSV of the hits."),
    ] = None,
    geojson: Annotated[
        Path | None,
        options.geojson_option("the hits"),
    ] = None,
    geoparquet: Annotated[
        Path | None,
        options.geoparquet_option("the hits"),
    ] = None,
    gpkg: Annotated[
        Path | None,
        _output(
            metavar="FILE.gpkg",
            help="GeoPackage, or FlatGeobuf (.fgb): footprints of the hits, for programs that do "
            "not read Parquet.",
        ),
    ] = None,
    sheet: Annotated[
        Path | None,
        _output(metavar="FILE.png", help="Picture: each query with its hits."),
    ] = None,
    similarity_map: Annotated[
        Path | None,
        _output(
            metavar="FILE.tif|DIR",
            help="GeoTIFF (float32) on the scene's grid: the similarity of every indexed window to "
            "the query, whatever the filters. DIR: one file for each scene.",
        ),
    ] = None,
    jsonl: Annotated[
        bool,
        _output(
            "--jsonl",
            help="Print one JSON object per query, one per line.",
            rich_help_panel=options.RUN,
        ),
    ] = False,
    model: options.IndexModel = None,
    trust_sources: options.TrustSources = False,
    device: options.Device = "auto",
    overwrite: options.Overwrite = False,
    strict: options.Strict = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Find the indexed tiles that are most similar to an image, a tile, a place or a vector.

    Prints rank, cosine similarity, label, longitude and latitude of each hit.

    Example:
        rsretrieve query example.tif --index index -k 10 --sheet hits.png
        rsretrieve query --tile forest/a.tif --index index --label forest
        rsretrieve query --at 11.35,47.27 --index index --geojson hits.geojson
        rsretrieve query "scene.tif#0,0,64,64" --index index --no-overlap

    With filters, and for few queries over few tiles, the search is exact: all tiles that pass the
    filters are compared. Otherwise the accuracy is that of the index.
    """
    model = (named := find_model(model)).folder
    outputs = QueryOutputs(
        csv=csv,
        geojson=geojson,
        geoparquet=geoparquet,
        gpkg=gpkg,
        sheet=sheet,
        similarity_map=similarity_map,
        overwrite=overwrite,
        trusted=trust_sources,
    )
    if jsonl and as_json:
        raise typer.BadParameter("--json and --jsonl cannot be combined", param_hint="--jsonl")
    taken = interval(from_date, to_date, datetime)
    examples = [*(images or ()), *(like or ()), *(unlike or ())]
    paths = outputs.paths(
        {"--index": index, "--model": model, "--within": within, **files_of(examples)}
    )
    with Terminal(as_json=as_json, quiet=quiet, notices=named.notices) as terminal:
        outputs.check(sum(map(len, (images or (), tile or (), at or (), (like or ())[:1]))))
        paths.check()
        terminal.leave_output_to(paths.on_standard_output, lines=jsonl)
        check_device(device)
        check_query(images or (), index, model, within)
        from rsretrieve.cli.io.result_tables import hit_table
        from rsretrieve.data.run_context import RunContext
        from rsretrieve.data.tile import Trust
        from rsretrieve.export.results import query_json, result_json
        from rsretrieve.index.external.query_vectors import is_vector_file
        from rsretrieve.index.store.folder import open_index
        from rsretrieve.search.filters import DUPLICATE_SIMILARITY, Filters
        from rsretrieve.search.query import QueryRequest
        from rsretrieve.search.search import run_queries

        if fold_duplicates and duplicate_similarity is None:
            duplicate_similarity = DUPLICATE_SIMILARITY
        request = QueryRequest(
            images=tuple(images or ()),
            tiles=tuple(tile or ()),
            points=tuple(map(point, at or ())),
            likes=tuple(like or ()),
            unlikes=tuple(unlike or ()),
            k=k,
            trust=Trust.TRUSTED if trust_sources else Trust.NAMED,
            filters=Filters(
                labels=tuple(label or ()),
                bbox=None if bbox is None else box(bbox),
                within=within,
                taken=taken,
                min_similarity=min_similarity,
                exclude_self=exclude_self,
                distinct_scene=distinct_scene,
                duplicate_similarity=duplicate_similarity,
                no_overlap=no_overlap,
            ),
            expand=expand,
        )
        if not all(map(is_vector_file, images or ())):
            from rsretrieve.data.workers.pool import start_for_images

            start_for_images()
        store = open_index(index)
        paths.check_tiles(lambda: store.rows.column("path"))
        scenes = outputs.scenes(store)
        context = RunContext(strict=strict, listener=terminal.listen)
        require_given_model(store, model)
        results = run_queries(store, request, search_context(store, model, device, context))
        folder = model or store.manifest.model_path(index)
        terminal.notice(*context.notices)
        outputs.write_maps(store, scenes, results, terminal)
        outputs.write(store, folder, results, terminal)
        if jsonl:
            terminal.lines(map(result_json, results))
        else:
            terminal.result(query_json(index, folder, results), *map(hit_table, results))
        raise typer.Exit(terminal.failures(context.failures))
