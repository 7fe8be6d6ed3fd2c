"""Tiles for Python: find them, look at them, choose among them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

from rsretrieve._core.text import some_of
from rsretrieve.api.arguments.checks import PathLike, flag, path_of, text_of, texts, whole, wrong
from rsretrieve.api.arguments.tile_arguments import decisions_among, label_mapping, windows_of
from rsretrieve.api.call_report import CallReport, Progress
from rsretrieve.api.dataframes import frame
from rsretrieve.api.notebook import facts_html, short, some_names
from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.failures import Failure
from rsretrieve.data.labels.labels import override_labels
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.data.windowing import DEFAULT_MAX_NODATA, MAX_WINDOWS, SceneChoices
from rsretrieve.errors import InvalidArgument, LabelsError

if TYPE_CHECKING:
    import pandas

Labels = PathLike | Mapping[str, str | None] | Any  # or a pandas.DataFrame
_FEW_CLASSES = 20


class Tiles:
    """Tiles in a fixed order, each with an id, a path and maybe a label.

    Made by `open_tiles`. `len(tiles)`, `for tile in tiles`, `tiles[0]` and `tiles[:100]` work;
    each tile has the attributes `id`, `path`, `label` and `window`.

    Attributes:
        tile_set: the same tiles as the library's inner functions take them.
        failures: the scenes and files that could not be used, each with a `reason`.
        inputs: the paths and URLs that the tiles were found by.

    Example:
        >>> import rsretrieve
        >>> tiles = rsretrieve.open_tiles("tiles")
        >>> len(tiles), tiles[0].id
        (144, 'bare_soil/bare_soil_10_7.tif')
        >>> len(tiles[:10])
        10
    """

    def __init__(
        self,
        tile_set: TileSet,
        failures: Sequence[Failure] = (),
        inputs: Sequence[str] = (),
    ) -> None:
        self.tile_set = tile_set
        self.failures = tuple(failures)
        self.inputs = tuple(inputs)

    @property
    def source(self) -> str:
        """What the tiles were found in."""
        return self.tile_set.source

    @property
    def class_names(self) -> tuple[str, ...]:
        """The labels that occur, sorted."""
        return self.tile_set.class_names

    def __len__(self) -> int:
        return len(self.tile_set)

    def __iter__(self) -> Iterator[Tile]:
        return iter(self.tile_set)

    @overload
    def __getitem__(self, position: int) -> Tile: ...
    @overload
    def __getitem__(self, position: slice) -> Tiles: ...
    def __getitem__(self, position: int | slice) -> Tile | Tiles:
        if isinstance(position, slice):
            return self.select(range(*position.indices(len(self))))
        return self.tile_set[position]

    def select(self, positions: Sequence[int]) -> Tiles:
        """The tiles at these positions, in that order.

        Args:
            positions: from 0; each at most once.

        Raises:
            InvalidArgument: a position is none, or stands there twice.

        Example:
            >>> import rsretrieve
            >>> tiles = rsretrieve.open_tiles("tiles")
            >>> roads = tiles.select([i for i, t in enumerate(tiles) if t.label == "road"])
            >>> roads.class_names
            ('road',)
        """
        chosen = [whole(position, "a position") for position in positions]
        if max(chosen, default=-1) >= len(self):
            raise InvalidArgument(f"a position must be below {len(self)}, not {max(chosen)}")
        return Tiles(self.tile_set.select(chosen), self.failures, self.inputs)

    def with_labels(self, labels: Labels) -> Tiles:
        """The same tiles with other labels; tiles that are not named keep theirs.

        Args:
            labels: a labels file (`tile,label`), a mapping of tile ids to labels, or a DataFrame
                with the columns `tile` and `label`, such as `AuditResult.fixed_labels()`. Labels
                that a person decided on, by a column `decision`, are trusted.

        Raises:
            LabelsError: not one of the tiles is named.
            TableError: the file cannot be read as a table of labels.

        Example:
            >>> import rsretrieve
            >>> tiles = rsretrieve.open_tiles("tiles").with_labels({"beach/beach_1_7.tif": "sea"})
            >>> "sea" in tiles.class_names
            True
        """
        with CallReport(None) as call:
            changed = self._relabelled(labels)
            call.notice(*changed.tile_set.notices[len(self.tile_set.notices) :])
        return changed

    def _relabelled(self, labels: Labels) -> Tiles:
        if isinstance(labels, str | os.PathLike):
            path = path_of(labels, "labels")
            relabelled = override_labels(self.tile_set, path)
            return Tiles(relabelled, self.failures, (*self.inputs, str(path)))
        known = label_mapping(labels)
        if not any(tile.id in known for tile in self):
            raise LabelsError(
                f"labels name none of the {len(self)} tiles of {self.source} (they name "
                f"{some_of(known)}; the tiles are {some_of(tile.id for tile in self)})"
            )
        decisions = decisions_among(labels, known)
        relabelled = self.tile_set.relabelled(known).with_confirmed(decisions.confirmed)
        return Tiles(relabelled.with_notices(*decisions.notices), self.failures, self.inputs)

    def to_dataframe(self) -> pandas.DataFrame:
        """A pandas DataFrame with the columns `tile`, `path` and `label`, a row a tile.

        Raises:
            MissingPackage: pandas is not installed.

        Example:
            >>> import rsretrieve
            >>> table = rsretrieve.open_tiles("tiles").to_dataframe()
            >>> list(table.columns), len(table)
            (['tile', 'path', 'label'], 144)
        """
        return frame(
            {
                "tile": [tile.id for tile in self],
                "path": [tile.path for tile in self],
                "label": [tile.label for tile in self],
            }
        )

    def __repr__(self) -> str:
        names = self.class_names
        classes = f"{len(names)} classes ({some_names(names)})" if names else "no labels"
        return f"<Tiles {short(self.source)!r}: {len(self):,} tiles, {classes}>"

    def _repr_html_(self) -> str:
        counted = Counter(tile.label for tile in self).most_common()
        shown: dict[str, object] = {
            "without a label" if label is None else label: f"{count:,}"
            for label, count in counted[:_FEW_CLASSES]
        }
        if len(counted) > _FEW_CLASSES:
            shown["…"] = f"{len(counted) - _FEW_CLASSES} more classes"
        return facts_html(f"{self.source}: {len(self):,} tiles", shown)


TilesLike = Tiles | TileSet | PathLike | Sequence[PathLike]


def open_tiles(
    source: TilesLike,
    *,
    labels: Labels | None = None,
    window: int | None = None,
    stride: int | None = None,
    resolution: float | None = None,
    edges: str = "drop",
    max_nodata: float = DEFAULT_MAX_NODATA,
    max_windows: int = MAX_WINDOWS,
    assets: str | Sequence[str] | None = None,
    stack: str | Sequence[str] | None = None,
    trust_sources: bool = False,
    strict: bool = False,
    progress: Progress | None = None,
) -> Tiles:
    """Find tiles: images of a folder or a list, or windows of scenes.

    Args:
        source: a folder of images (class sub-folders are the labels), a CSV or Parquet list
            (`tile`, optionally `path` and `label`), a scene (with `window`), a URL, a STAC item,
            item collection, collection or catalogue, or a folder of items; or several of these; or
            tiles that are open already.
        labels: labels that replace those found; see `Tiles.with_labels`.
        window: cut every image into windows of this side, in pixels; each is a tile.
        stride: pixels from one window to the next; by default the window's side.
        resolution: metres that a pixel of a window spans; by default as the scene has it.
        edges: `drop` windows that reach over the edge, or `pad` them with nodata.
        max_nodata: windows with a larger share of nodata, 0…1, are skipped.
        max_windows: a scene of more windows is refused.
        assets: of STAC items, the names of the assets whose bands form a tile; by default the only
            raster.
        stack: of scenes whose bands lie in files of their own, the names of the bands that form a
            tile, in this order, or `all`; by default every file is a tile.
        trust_sources: open whatever the files name, too. Without it, only `source` itself is
            trusted; what a list, an item or a file names is not.
        strict: the first scene that cannot be used ends the search.
        progress: called with every event; see `rsretrieve.progress`.

    Returns:
        The tiles, sorted by id for a folder, in the list's order for a list.

    Raises:
        InvalidArgument: an argument is of a wrong type, or makes no sense.
        TilesNotFound: there is no such place, or no tile in it.
        TableError, LabelsError, InputError, NoUsableTiles: what was found cannot be used.

    Example:
        >>> import rsretrieve
        >>> rsretrieve.open_tiles("tiles")
        <Tiles 'tiles': 144 tiles, 9 classes (bare_soil, beach, dense_houses, fields, forest, …)>
        >>> len(rsretrieve.open_tiles("scene.tif", window=32))
        144
    """
    with CallReport(progress, strict=strict) as call:
        scenes = SceneChoices(
            windows_of(window, stride, resolution, edges, max_nodata),
            texts(assets, "assets"),
            whole(max_windows, "max_windows", 1),
            trusted=flag(trust_sources, "trust_sources"),
            stack=tuple(band for text in texts(stack, "stack") for band in text.split(",")),
        )
        found = tiles_of(source, call, scenes)
        if labels is None:
            return found
        relabelled = found._relabelled(labels)
        call.notice(*relabelled.tile_set.notices[len(found.tile_set.notices) :])
        return relabelled


def tiles_of(source: object, call: CallReport, scenes: SceneChoices = SceneChoices()) -> Tiles:
    """Tiles that are open already as they are, others found; its notices are reported.

    Raises:
        InvalidArgument: not a kind of thing that names tiles.
        TilesNotFound, TableError, InputError, NoUsableTiles: see `find_tiles`.
    """
    if isinstance(source, Tiles | TileSet):
        if scenes != SceneChoices():
            raise InvalidArgument("tiles that are open already cannot be cut into windows again")
        return source if isinstance(source, Tiles) else Tiles(source)
    several = source if isinstance(source, list | tuple) and source else (source,)
    if not all(isinstance(one, str | os.PathLike) for one in several):
        raise wrong("tiles", "a path, a URL, several of them or open tiles", source)
    names = tuple(text_of(one, "tiles") for one in several)
    failed_before = len(call.failures)
    found = find_tiles(names, None, scenes, call.context)
    call.notice(*found.notices)
    return Tiles(found, call.failures[failed_before:], names)
