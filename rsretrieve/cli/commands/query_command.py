"""`rsretrieve query`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from rsretrieve.cli import options
from rsretrieve.cli.io.query_outputs import QueryOutputs
from rsretrieve.cli.terminal import Terminal

# Their headings in --help.
_asked = partial(typer.Option, rich_help_panel="What is asked")
_filter = partial(typer.Option, rich_help_panel="Which tiles may be hits")
_output = partial(typer.Option, rich_help_panel="Outputs")


def query(
    images: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="IMAGE",
            help="Image files; FILE#COL,ROW,WIDTH,HEIGHT is a window of one; FILE.npy holds a "
            "vector (D,) or several (Q, D).",
        ),
    ] = None,
    *,
    index: options.Index,
    tile: Annotated[
        list[str] | None,
        _asked(metavar="ID", help="A tile of the index, by its id: needs no model. Repeatable."),
    ] = None,
    at: Annotated[
        list[str] | None,
        _asked(
            metavar="LON,LAT",
            help="The tile of the index that holds the point (the smallest, if several). "
            "Repeatable.",
        ),
    ] = None,
    like: Annotated[
        list[str] | None,
        _asked(
            metavar="EXAMPLE[@W]",
            help="An example: an id of the index, an image, or a .npy of one vector. All --like "
            "and --unlike together are one query: the mean of w·like less the mean of "
            "u·unlike, made unit; w is 1 and u is 0.5 unless @W says otherwise. Repeatable.",
        ),
    ] = None,
    unlike: Annotated[
        list[str] | None,
        _asked(metavar="EXAMPLE[@U]", help="What hits should be unlike. Repeatable."),
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="How many hits for each query.")] = 10,
    label: Annotated[
        list[str] | None,
        _filter(metavar="NAME", help="Only tiles of this label. Repeatable."),
    ] = None,
    bbox: Annotated[
        str | None,
        _filter(
            metavar="W,S,E,N",
            help="Only tiles whose footprint meets this box (degrees; W > E crosses the "
            "antimeridian).",
        ),
    ] = None,
    within: Annotated[
        Path | None,
        _filter(metavar="FILE.geojson", help="Only tiles that lie whole in these polygons."),
    ] = None,
    min_similarity: Annotated[
        float | None,
        _filter(metavar="S", min=-1, max=1, help="Only hits this similar."),
    ] = None,
    exclude_self: Annotated[
        bool,
        _filter("--exclude-self", help="No hits that are the query's own file (and window)."),
    ] = False,
    distinct_scene: Annotated[
        bool,
        _filter(
            "--distinct-scene", help="The best hit only of each file: of windows, of each scene."
        ),
    ] = False,
    fold_duplicates: Annotated[
        bool,
        _filter(
            "--fold-duplicates", help="No hits that are at least 0.999 similar to a better hit."
        ),
    ] = False,
    duplicate_similarity: Annotated[
        float | None,
        _filter(metavar="S", min=-1, max=1, help="Fold from this similarity on, instead of 0.999."),
    ] = None,
    csv: Annotated[
        Path | None,
        _output(metavar="FILE", help="Write the hits as CSV."),
    ] = None,
    geojson: Annotated[
        Path | None,
        _output(metavar="FILE", help="Write the hits' footprints (lon, lat) as GeoJSON."),
    ] = None,
    geoparquet: Annotated[
        Path | None,
        _output(metavar="FILE", help="Write the hits' footprints as GeoParquet 1.1."),
    ] = None,
    sheet: Annotated[
        Path | None,
        _output(metavar="FILE.png", help="Draw each query with its hits, as a picture."),
    ] = None,
    jsonl: Annotated[
        bool,
        _output("--jsonl", help="Print a JSON object a query, each on its own line."),
    ] = False,
    model: options.IndexModel = None,
    trust_sources: options.TrustSources = False,
    device: options.Device = "auto",
    overwrite: options.Overwrite = False,
    strict: options.Strict = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Find the indexed tiles most like an image, a tile, a place or a vector, and where they lie.

    With filters every vector that passes is looked at, so that there are k hits wherever k
    tiles pass; so it is where queries and tiles are few. Otherwise an approximate index
    answers as it was built.
    """
    outputs = QueryOutputs(csv, geojson, geoparquet, sheet, overwrite, trusted=trust_sources)
    if jsonl and as_json:
        raise typer.BadParameter("give --json or --jsonl, not both", param_hint="--jsonl")
    examples = [*(images or ()), *(like or ()), *(unlike or ())]
    paths = outputs.paths(
        {"--index": index, "--model": model, "--within": within, **_files_of(examples)}
    )
    with Terminal(as_json=as_json, quiet=quiet) as terminal:
        paths.check()
        from rsretrieve.cli.io.render import hit_table
        from rsretrieve.data.run_context import RunContext
        from rsretrieve.data.tile import Trust
        from rsretrieve.export.results import query_json, result_json
        from rsretrieve.index.external.query_vectors import is_vector_file
        from rsretrieve.index.store.folder import open_index
        from rsretrieve.search.filters import DUPLICATE_SIMILARITY, Filters
        from rsretrieve.search.query import QueryRequest
        from rsretrieve.search.search import SearchContext, model_folder_of, run_queries

        if fold_duplicates and duplicate_similarity is None:
            duplicate_similarity = DUPLICATE_SIMILARITY
        request = QueryRequest(
            images=tuple(images or ()),
            tiles=tuple(tile or ()),
            points=tuple(map(_point, at or ())),
            likes=tuple(like or ()),
            unlikes=tuple(unlike or ()),
            k=k,
            trust=Trust.TRUSTED if trust_sources else Trust.NAMED,
            filters=Filters(
                labels=tuple(label or ()),
                bbox=None if bbox is None else _box(bbox),
                within=within,
                min_similarity=min_similarity,
                exclude_self=exclude_self,
                distinct_scene=distinct_scene,
                duplicate_similarity=duplicate_similarity,
            ),
        )
        if not all(map(is_vector_file, images or ())):
            from rsretrieve.data.workers.pool import start_for_images

            start_for_images()
        store = open_index(index)
        paths.check_tiles(lambda: store.rows.column("path"))
        context = RunContext(strict=strict, listener=terminal.listen)
        if model is not None:  # also where it is not needed: whoever names one means it
            from rsretrieve.index.compatibility import require_same_model
            from rsretrieve.network.metadata import ModelFolder, read_description

            described = ModelFolder(model, read_description(model))
            require_same_model(index, store.manifest, described)

        def open_model(images: int) -> Any:
            from rsretrieve.network.metadata import ModelFolder
            from rsretrieve.network.runtime.graph import open_embedding_model

            found = ModelFolder.read(model or model_folder_of(store))
            return open_embedding_model(found, images, device, context)

        searching = SearchContext(open_model, context, _search_device(device))
        results = run_queries(store, request, searching)
        named = store.manifest.model
        folder = model or (Path(named) if named else None)
        outputs.write(store, folder, results, terminal)
        if jsonl:
            terminal.lines(map(result_json, results))
        else:
            terminal.result(query_json(index, folder, results), *map(hit_table, results))
        raise typer.Exit(terminal.failures(context.failures))


def _files_of(examples: list[str]) -> dict[str, str]:
    """The files that examples may name: without a window, and without a weight."""
    names = {name for text in examples for name in (text, text.rpartition("@")[0]) if name}
    return {f"the query {name}": name.partition("#")[0] or name for name in names} | {
        f"the query {name} ": name for name in names
    }


def _point(text: str) -> tuple[float, float]:
    lon, lat = options.parse_numbers(text, "--at", float, 2)
    return lon, lat


def _box(text: str) -> tuple[float, float, float, float]:
    west, south, east, north = options.parse_numbers(text, "--bbox", float, 4)
    return west, south, east, north


def _search_device(name: str) -> str:
    """What searches where no model is opened; PyTorch is asked only for a GPU by name."""
    if name in ("auto", "cpu"):
        return "cpu"
    from rsretrieve.network.device import choose_device

    return str(choose_device(name))
