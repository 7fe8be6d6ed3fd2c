"""Queries by a whole scene, which are answered by its windows, and by images of another scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rsretrieve.data.discovery.scenes import cut_scenes
from rsretrieve.data.geo.place import Place
from rsretrieve.data.profile.measure_scale import measure_scale
from rsretrieve.data.profile.misfit import scale_difference
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.data.windowing import WindowChoices
from rsretrieve.errors import InputError, NoUsableTiles, TilesNotFound
from rsretrieve.index.store.folder import IndexStore
from rsretrieve.search.composed_query import Query, QueryTerm

MOST_WINDOWS = 4096  # of one query
_MEASURED = 16


def with_windows(store: IndexStore, query: Query, context: RunContext) -> Query:
    """Replace a scene by its windows, cut as those of the index.

    Args:
        store: the index.
        query: a query; all but those by one whole image stay as they are.
        context: is told of the windows.

    Returns:
        A query whose terms are the windows, or the same query if the image is no larger than a
        window, or cannot be opened.

    Raises:
        InputError: the scene has too many windows.
    """
    choices = WindowChoices.from_json(store.manifest.windows)
    image = query.terms[0].image if len(query.terms) == 1 else None
    if choices is None or image is None or image.window is not None:
        return query
    trial = RunContext()
    try:
        cut = cut_scenes(TileSet(query.name, (image,)), choices, trial, MOST_WINDOWS)
    except (NoUsableTiles, TilesNotFound) as error:
        if "--max-windows" not in str(error):
            return query  # no larger than a window; or the reader tells why it cannot be read
        raise InputError(
            f"{query.name} has more than {MOST_WINDOWS:,} windows of the size of the index's tiles",
            hint="query with a part of it: FILE#COL,ROW,WIDTH,HEIGHT in pixels",
        ) from error
    if len(cut) < 2:
        return query
    context.notice(
        f"{query.name} is larger than the tiles of the index: it is searched by its {len(cut)} "
        f"windows of {choices.window_px} px; the similarity of a hit is that to the nearest window"
    )
    return replace(query, terms=tuple(QueryTerm(image=tile) for tile in cut), any_term=True)


def report_other_scale(
    store: IndexStore, images: TileSet, places: Sequence[Place | None], context: RunContext
) -> None:
    """Give a notice if query images have another scale than the tiles of an index.

    Args:
        store: the index; an old one does not tell its scale.
        images: Q images that were read.
        places: the place of each.
        context: receives the notice.
    """
    if not store.manifest.tile_scale:
        return
    texts = []
    for image, place in list(zip(images, places))[:_MEASURED]:
        found = measure_scale(replace(images, tiles=(image,)), (place,))
        text = scale_difference(store.manifest.scale, found)
        texts += [f"{image.id} is {text}"] if text else []
    if texts:
        others = f" ({len(texts)} of {len(images)} query images differ)" if len(texts) > 1 else ""
        context.notice(f"{texts[0]}: similarities across scales are not reliable{others}")
