"""Lists for training, validation and test, and the leaks between lists, for Python."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from rsretrieve.api.arguments.checks import (
    PathLike,
    flag,
    number,
    numbers,
    path_of,
    plain_text,
    whole,
    wrong,
)
from rsretrieve.api.arguments.tile_arguments import windows_of
from rsretrieve.api.call_report import CallReport, Progress
from rsretrieve.api.dataframes import frame
from rsretrieve.api.opened_tiles import Tiles, TilesLike, tiles_of
from rsretrieve.audit.leaks.find_leaks import FoundLeaks, Leak
from rsretrieve.audit.leaks.find_leaks import find_leaks as find_leaks_of
from rsretrieve.data.discovery.tile_list import write_list
from rsretrieve.data.splitting.split_tiles import PARTS, Split, SplitChoices, split_tiles
from rsretrieve.data.windowing import DEFAULT_MAX_NODATA, SceneChoices
from rsretrieve.export.output_paths import OutputPaths
from rsretrieve.export.results import LEAK_COLUMNS, leaks_json, write_leaks_csv

if TYPE_CHECKING:
    import pandas

    from rsretrieve.data.tile import TileSet

_FEWEST_LISTS = 2


class TileLists:
    """Tiles split into lists for training, validation and test.

    Made by `split`.

    Attributes:
        train, val, test: the lists.
        left_out: tiles in no list, because they lie between blocks of two lists.

    Example:
        >>> import rsretrieve
        >>> lists = rsretrieve.split("tiles")
        >>> len(lists.train), len(lists.val), len(lists.test)
        (99, 17, 28)
    """

    def __init__(self, split: Split, tiles: Tiles) -> None:
        self._inputs, self._failures = tiles.inputs, tiles.failures
        self._fractions = split.fractions
        self.train, self.val, self.test = (self._opened(part) for part in split.parts)
        self.left_out = self._opened(split.left_out)

    def _opened(self, part: TileSet) -> Tiles:
        return Tiles(part, self._failures, self._inputs)

    @property
    def fractions(self) -> tuple[float, ...]:
        """The share of each list of all tiles that are in a list."""
        return self._fractions

    def as_dict(self) -> dict[str, Tiles]:
        """The lists by their names `train`, `val` and `test`, as `find_leaks` takes them.

        Example:
            >>> import rsretrieve
            >>> lists = rsretrieve.split("tiles")
            >>> [*lists.as_dict()], sum(map(len, lists.as_dict().values()))
            (['train', 'val', 'test'], 144)
        """
        return dict(zip(PARTS, (self.train, self.val, self.test)))

    def to_csv(self, folder: PathLike, *, overwrite: bool = False) -> None:
        """Write `train.csv`, `val.csv` and `test.csv`, as `rsretrieve split` does.

        Args:
            folder: where; it is made if needed.
            overwrite: replace files that are there.

        Raises:
            OutputExists: a file already exists.
            OutputRefused: it is one of the inputs.

        Example:
            >>> import rsretrieve
            >>> rsretrieve.split("tiles").to_csv("new-lists")
            >>> len(rsretrieve.open_tiles("new-lists/train.csv"))
            99
        """
        where, replaces = path_of(folder, "folder"), flag(overwrite, "overwrite")
        files = {name: where / f"{name}.csv" for name in PARTS}
        inputs = {f"input {one}": one for one in self._inputs}
        outputs = OutputPaths(files, inputs=inputs, overwrite=replaces)
        outputs.check()
        outputs.check_tiles(lambda: (t.path for part in self.as_dict().values() for t in part))
        for name, tiles in self.as_dict().items():
            write_list(files[name], tiles.tile_set, overwrite=replaces, follow=False)

    def __repr__(self) -> str:
        counts = ", ".join(f"{name} {len(tiles):,}" for name, tiles in self.as_dict().items())
        return f"<TileLists: {counts}; left out {len(self.left_out):,}>"


class Leaks:
    """Pairs of tiles in different lists that show the same, wholly or partly.

    Made by `find_leaks`. `len(leaks)` and `for leak in leaks` work; each leak has `tile`, `other`,
    `list`, `other_list`, `kind` (`near_duplicate` or `overlap`), `similarity` and `overlap`.

    Example:
        >>> import rsretrieve
        >>> said = []
        >>> scene = {"window": 64, "stride": 32, "progress": said.append}
        >>> lists = rsretrieve.split("scene.tif", by_place=True, **scene)
        >>> rsretrieve.find_leaks(lists.as_dict(), progress=said.append).summary["overlaps"]
        0
    """

    def __init__(self, found: FoundLeaks) -> None:
        self._found = found

    def __len__(self) -> int:
        return len(self._found)

    def __iter__(self) -> Iterator[Leak]:
        return iter(self._found)

    @property
    def summary(self) -> dict[str, object]:
        """Counts, as `rsretrieve split --leaks FILE --json` prints them."""
        return leaks_json(self._found)

    def to_csv(self, path: PathLike, *, overwrite: bool = False) -> None:
        """Write one row a pair, near-duplicates first.

        Raises:
            OutputExists: the file already exists.

        Example:
            >>> import rsretrieve
            >>> lists = rsretrieve.split("tiles")
            >>> rsretrieve.find_leaks(lists.as_dict()).to_csv("leaks.csv")
        """
        file, replaces = path_of(path, "path"), flag(overwrite, "overwrite")
        outputs = OutputPaths({"path": file}, overwrite=replaces)
        outputs.check()
        lists = self._found.lists.values()
        outputs.check_tiles(lambda: (tile.path for tiles in lists for tile in tiles))
        write_leaks_csv(file, self._found, overwrite=replaces)

    def to_dataframe(self) -> pandas.DataFrame:
        """The pairs as a pandas DataFrame, near-duplicates first.

        Raises:
            MissingPackage: pandas is not installed.

        Example:
            >>> import rsretrieve
            >>> pairs = rsretrieve.find_leaks({"one": "tiles", "copy": "tiles"}).to_dataframe()
            >>> sorted({*pairs["list"], *pairs["other_list"]})
            ['copy', 'one']
        """
        leaks = list(self._found)
        return frame({name: [getattr(leak, name) for leak in leaks] for name in LEAK_COLUMNS})

    def __repr__(self) -> str:
        found = self.summary
        return f"<Leaks: {found['near_duplicates']} near-duplicates, {found['overlaps']} overlaps>"


def split(
    tiles: TilesLike,
    fractions: Sequence[float] = (0.7, 0.1, 0.2),
    *,
    by_scene: bool = False,
    by_place: bool = False,
    buffer_m: float = 0.0,
    window: int | None = None,
    stride: int | None = None,
    seed: int = 0,
    strict: bool = False,
    progress: Progress | None = None,
) -> TileLists:
    """Split tiles into lists for training, validation and test.

    Without `by_scene` and `by_place`, each class is split by the fractions.

    Args:
        tiles: the tiles, or where they are; see `open_tiles`.
        fractions: shares of the three lists, positive, summing to at most 1.
        by_scene: all tiles of one file, or of one STAC item, go to one list.
        by_place: tiles that overlap on the ground go to one list. A group of tiles too large for
            the fractions is cut into blocks, and the tiles at their borders are in no list.
        buffer_m: with `by_place`: tiles within so many metres on the ground, too.
        window: cut every image into windows of this side; see `open_tiles`.
        stride: pixels from one window to the next; see `open_tiles`.
        seed: the same seed gives the same lists.
        strict: the first file that cannot be opened ends the split.
        progress: called with every event; see `rsretrieve.progress`.

    Returns:
        The lists.

    Raises:
        InvalidArgument: an argument is of a wrong type, or makes no sense.
        TilesNotFound: there is no such place, or no tile in it.
        InputError: no tile has a place, which `by_place` needs.
        TableError, NoUsableTiles: what was found cannot be used.

    Example:
        >>> import rsretrieve
        >>> lists = rsretrieve.split("tiles", (0.5, 0.25, 0.25), by_place=True)
        >>> len(lists.train), lists.train.class_names == lists.test.class_names
        (72, True)
    """
    with CallReport(progress, strict=strict) as call:
        choices = SplitChoices(
            numbers(fractions, "fractions", len(PARTS)),
            whole(seed, "seed"),
            flag(by_scene, "by_scene"),
            flag(by_place, "by_place"),
            number(buffer_m, "buffer_m"),
        )
        scenes = SceneChoices(windows_of(window, stride, None, "drop", DEFAULT_MAX_NODATA))
        found = tiles_of(tiles, call, scenes)
        return TileLists(split_tiles(found.tile_set, choices, call.context), found)


def find_leaks(
    lists: Mapping[str, TilesLike], *, strict: bool = False, progress: Progress | None = None
) -> Leaks:
    """Find tiles of one list that overlap tiles of another list, or are near-duplicates of them.

    Tiles with a georeference are compared on the ground, windows of one file by their position in
    it. Tiles that do not overlap are compared by their pixels. No model is needed.

    Args:
        lists: two lists or more by their names, such as `{"train": …, "test": …}`; each as
            `open_tiles` takes it.
        strict: the first tile that cannot be read ends the search.
        progress: called with every event; see `rsretrieve.progress`.

    Returns:
        The pairs of tiles, near-duplicates first.

    Raises:
        InvalidArgument: an argument is of a wrong type, or there are fewer than two lists.
        TilesNotFound, TableError, InputError, NoUsableTiles: a list cannot be used.

    Example:
        >>> import rsretrieve
        >>> lists = rsretrieve.split("tiles")
        >>> leaks = rsretrieve.find_leaks({"train": lists.train, "test": lists.test})
        >>> len(leaks)
        0
    """
    with CallReport(progress, strict=strict) as call:
        if not isinstance(lists, Mapping) or len(lists) < _FEWEST_LISTS:
            raise wrong("lists", "a mapping of two names or more to tiles", lists)
        found = {
            plain_text(name, "the name of a list"): tiles_of(tiles, call).tile_set
            for name, tiles in lists.items()
        }
        return Leaks(find_leaks_of(found, call.context))
