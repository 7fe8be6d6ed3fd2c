"""Labels that are made wrong on purpose, for Python."""

from __future__ import annotations

from rsretrieve.api.arguments.checks import (
    PathLike,
    device_name,
    flag,
    number,
    one_of,
    optional_path,
    whole,
)
from rsretrieve.api.call_report import CallReport, Progress
from rsretrieve.api.opened_tiles import TilesLike, tiles_of
from rsretrieve.api.trained_model import ModelLike, model_of
from rsretrieve.data.labels.noise_choice import NoiseChoice
from rsretrieve.enums import NoiseKind
from rsretrieve.evaluation.label_corruption import corrupted_labels
from rsretrieve.network.named_gpu import check_named_gpu


def corrupt_labels(
    tiles: TilesLike,
    rate: float,
    *,
    kind: str = "uniform",
    table: PathLike | None = None,
    model: ModelLike | None = None,
    exact: bool = False,
    seed: int = 0,
    device: str = "auto",
    strict: bool = False,
    progress: Progress | None = None,
) -> dict[str, str]:
    """Make a share of the labels wrong on purpose, to measure the effect of wrong labels.

    Args:
        tiles: tiles with labels; see `open_tiles`.
        rate: share of the labels to change, 0…1.
        kind: `uniform`: to any other class; `table` or `label-dependent`: to the classes of
            `table`; `instance`: the tiles that `model` confuses most easily.
        table: the confusions of `table`: `aid` or `nwpu-resisc45` (published), a CSV file
            (`from,to,share`), or `from-model`: those of `model`. Shares of classes that the tiles
            do not have are given to the other classes of the same row.
        model: for `instance` and `from-model`: a model, or its folder.
        exact: change exactly this share of the labels, instead of each label with this
            probability: of each class, or with `instance` of all classes together.
        seed: random seed.
        device: `auto` (a GPU where there is one), `cpu`, `cuda` or `cuda:N`.
        strict: the first tile that cannot be used ends the call.
        progress: called with every event; see `rsretrieve.progress`.

    Returns:
        Tile id → label, as `Tiles.with_labels` takes it. The true labels are those of `tiles`.

    Raises:
        InvalidArgument: an argument is of a wrong type, or makes no sense.
        LabelsError: there are fewer than two classes, or the table has no row for one of them.
        TableError: the table cannot be read.
        ModelNotFound, ModelDamaged: the model cannot be read.

    Example:
        >>> import rsretrieve
        >>> tiles = rsretrieve.open_tiles("tiles")
        >>> labels = rsretrieve.corrupt_labels(tiles, 0.25, exact=True)
        >>> sum(labels[tile.id] != tile.label for tile in tiles)
        36
        >>> noisy = tiles.with_labels(labels)
    """
    with CallReport(progress, strict=strict) as call:
        check_named_gpu(device_name(device))
        loaded = None if model is None else model_of(model, device, call)
        noise = NoiseChoice(
            one_of(kind, NoiseKind, "kind"),
            number(rate, "rate"),
            None if table is None else str(optional_path(table, "table")),
            None if loaded is None else loaded.path,
            flag(exact, "exact"),
        )
        found = tiles_of(tiles, call).tile_set
        whole(seed, "seed")
        network = None if loaded is None else loaded.loaded
        return corrupted_labels(found, noise, seed, call.context, network)
