"""Queries by a whole scene, which are answered by its windows, and by images of another scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import ceil, prod, sqrt

from rsretrieve.data.discovery.scenes import cut_scenes, facts_of_images
from rsretrieve.data.geo.place import Place
from rsretrieve.data.profile.measure_scale import ground_side_m
from rsretrieve.data.profile.misfit import scale_difference
from rsretrieve.data.profile.tile_scale import TileScale
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.data.window import MIN_SIDE_PX, Window
from rsretrieve.data.windowing import SceneFacts, WindowChoices
from rsretrieve.errors import InputError, NoUsableTiles, TilesNotFound
from rsretrieve.index.store.folder import IndexStore
from rsretrieve.search.composed_query import Query, QueryTerm

MOST_WINDOWS = 4096  # of one query
_MEASURED = 16
_LARGER, _LARGER_PX = 2.0, 4.0
"""From this number of tiles' sides on, an image is a scene: on the ground, and in pixels. An image
of unknown ground size may as well show a tile in more detail."""
_SAME_SIZE = 0.02  # the ground size of one grid, computed in two ways

Facts = Mapping[str, SceneFacts]
"""The sizes of images, by tile id."""


def facts_of_queries(store: IndexStore, queries: Sequence[Query]) -> dict[str, SceneFacts]:
    """Read the sizes of the whole images of some queries, where the index can be compared.

    Args:
        store: the index.
        queries: the queries.
    """
    if not store.manifest.windows and not store.manifest.tile_scale:
        return {}
    images = {i.id: i for query in queries for i in query.images if i.window is None}
    return facts_of_images(TileSet("the images", tuple(images.values()))) if images else {}


def with_windows(store: IndexStore, query: Query, facts: Facts, context: RunContext) -> Query:
    """Replace a scene by its windows, cut as those of the index, or as large as its tiles.

    Args:
        store: the index.
        query: a query; all but those by one whole image stay as they are.
        facts: the sizes of images.
        context: receives notices of the windows.

    Returns:
        A query whose terms are the windows, or the same query if the image is no larger than a
        window, or cannot be opened.

    Raises:
        InputError: the scene has too many windows.
    """
    image = query.terms[0].image if len(query.terms) == 1 else None
    if image is None or image.window is not None or image.id not in facts:
        return query
    choices = WindowChoices.from_json(store.manifest.windows)
    if choices is None:
        cut = _cut_by_scale(store.manifest.scale, image, facts[image.id], context)
    else:
        cut = _cut_by_choices(choices, image)
    if len(cut) < 2:
        return query
    window = cut[0].window
    shape = "" if window is None else f"{max(window.width, window.height)} px"
    whole = facts[image.id]
    context.notice(
        f"{query.name} is larger than the tiles of the index: it is searched by its {len(cut)} "
        f"windows of {shape}; the similarity of a hit is that to the nearest window (to search "
        f"with it as one image, give {query.name}#0,0,{whole.width},{whole.height})"
    )
    return replace(query, terms=tuple(QueryTerm(image=tile) for tile in cut), any_term=True)


def _cut_by_choices(choices: WindowChoices, image: Tile) -> list[Tile]:
    """The windows of an image, cut as those of the index; none if it is smaller than a window."""
    try:
        return [*cut_scenes(TileSet(image.id, (image,)), choices, RunContext(), MOST_WINDOWS)]
    except (NoUsableTiles, TilesNotFound) as error:
        if "--max-windows" not in str(error):
            return []  # or the reader tells why it cannot be read
        raise _too_many_windows(image) from error


def _too_many_windows(image: Tile) -> InputError:
    return InputError(
        f"{image.id} has more than {MOST_WINDOWS:,} windows of the size of the index's tiles",
        hint="query with a part of it: FILE#COL,ROW,WIDTH,HEIGHT in pixels",
    )


def _cut_by_scale(
    indexed: TileScale, image: Tile, facts: SceneFacts, context: RunContext
) -> list[Tile]:
    """Windows of the size of an index's tiles, evenly spaced over all of an image.

    The size on the ground is taken, or that in pixels if the ground size is unknown. None if the
    image is not much larger than the tiles.
    """
    if indexed.side_px is None:
        return []
    side = round(_middle(indexed.side_px))
    width, height, least = side, side, _LARGER_PX
    if indexed.tile_m is not None and facts.pixel_m is not None:
        width, height = (round(_middle(indexed.tile_m) / pixel) for pixel in facts.pixel_m)
        least = _LARGER
        if max(abs(width - side), abs(height - side)) <= max(1, _SAME_SIZE * side):
            width = height = side
    is_smaller = facts.width < width or facts.height < height
    if min(width, height) < MIN_SIDE_PX or is_smaller:
        return []
    if sqrt(facts.width * facts.height / (width * height)) < least:
        return []
    columns, rows = _starts(facts.width, width), _starts(facts.height, height)
    if len(columns) * len(rows) > MOST_WINDOWS:
        raise _too_many_windows(image)
    read_px = side if max(width, height) > side * (1 + _SAME_SIZE) else None
    windows = [Window(col, row, width, height, read_px) for row in rows for col in columns]
    _report_scale_of_windows(indexed, windows[0], facts, image, context)
    return [Tile(f"{image.id}{w}", image.path, None, w, image.trust) for w in windows]


def _middle(lengths: tuple[float, float]) -> float:
    return sqrt(prod(lengths))


def _starts(length: int, size: int) -> list[int]:
    """Where windows of one size begin that cover a length with as little overlap as possible."""
    count = ceil(length / size)
    return [round(i * (length - size) / max(count - 1, 1)) for i in range(count)]


def _report_scale_of_windows(
    indexed: TileScale, window: Window, facts: SceneFacts, image: Tile, context: RunContext
) -> None:
    """Give a notice if a scene shows less detail than the tiles of the index."""
    if facts.pixel_m is None:
        return
    pixel = sqrt(prod(facts.pixel_m))
    shown = pixel * sqrt(window.width * window.height / prod(window.shape_px))
    ground = pixel * sqrt(window.width * window.height)
    side = sqrt(prod(window.shape_px))
    found = TileScale((side, side), (ground, ground), (shown, shown))
    if text := scale_difference(indexed, found):
        context.notice(
            f"a window of {image.id} is {text}: similarities across scales are not reliable"
        )


def report_other_scale(
    store: IndexStore,
    images: TileSet,
    places: Sequence[Place | None],
    facts: Facts,
    context: RunContext,
) -> None:
    """Give a notice if query images have another scale than the tiles of an index.

    Args:
        store: the index; an old one does not tell its scale.
        images: Q images that were read.
        places: the place of each.
        facts: the sizes of images.
        context: receives the notice.
    """
    if not store.manifest.tile_scale:
        return
    texts = []
    for image, place in list(zip(images, places))[:_MEASURED]:
        text = scale_difference(store.manifest.scale, _scale_of(image, place, facts))
        texts += [f"{image.id} is {text}"] if text else []
    if texts:
        others = f" ({len(texts)} of {len(images)} query images differ)" if len(texts) > 1 else ""
        context.notice(f"{texts[0]}: similarities across scales are not reliable{others}")


def _scale_of(image: Tile, place: Place | None, facts: Facts) -> TileScale:
    side = None
    if image.window is not None:
        side = sqrt(prod(image.window.shape_px))
    elif image.id in facts:
        side = sqrt(facts[image.id].width * facts[image.id].height)
    ground = ground_side_m(place)
    pixel = ground / side if side and ground else None
    side_px, tile_m, pixel_m = (value and (value, value) for value in (side, ground, pixel))
    return TileScale(side_px or None, tile_m or None, pixel_m or None)
