"""What an index will cost, for Python."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rsretrieve.api.arguments.checks import (
    PathLike,
    byte_count,
    device_name,
    number,
    path_of,
    plain_text,
    texts,
    whole,
    wrong,
)
from rsretrieve.api.arguments.cluster_argument import given_files
from rsretrieve.api.arguments.embedding_request import embedding_request, used_model
from rsretrieve.api.call_report import CallReport, Progress
from rsretrieve.api.opened_tiles import TilesLike, tiles_of
from rsretrieve.api.trained_model import ModelLike
from rsretrieve.costs.cost import Cost
from rsretrieve.costs.explanation import DEFAULT_COMMANDS, CostQuestion, Explanation, explain_costs
from rsretrieve.costs.tile_rates import measure_tiles
from rsretrieve.costs.train_costs import measure_training
from rsretrieve.index.long_list import long_from
from rsretrieve.index.vectors.choose_kind import AUTO, IndexGoal
from rsretrieve.network.device import choose_device


def explain(
    tiles: TilesLike | None = None,
    model: ModelLike | None = None,
    *,
    commands: Iterable[str] = DEFAULT_COMMANDS,
    at_scale: float | Iterable[float] | None = None,
    dimensions: int = 128,
    index: str = AUTO,
    recall: float | None = None,
    memory: int | str | None = None,
    output: PathLike = "",
    dollars_per_hour: float | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> Explanation:
    """Predict seconds, memory, bytes on disk and dollars of an index, a search and other work.

    Rates are measured on this machine, which takes seconds. Nothing is written.

    Args:
        tiles: open tiles, or what `open_tiles` takes; some are read and embedded. None: the
            embeddings are given, as in `build_index_from_embeddings`.
        model: as in `build_index`.
        commands: what to predict, among `index`, `query`, `audit-labels` and `train` (with the
            default recipe; it needs `tiles` with labels, and trains on some of them).
        at_scale: whole numbers of tiles to predict for, such as 1e6; by default the number of
            `tiles`.
        dimensions: D of given embeddings; with `tiles`, the model's are used.
        index: as in `build_index`.
        recall: as in `build_index`.
        memory: as in `build_index`.
        output: where the index would be written; the free space of that disk is compared.
        dollars_per_hour: the price of this machine.
        device: `auto` (a GPU where there is one), `cpu`, `cuda` or `cuda:N`.
        progress: called with every event; see `rsretrieve.progress`.

    Returns:
        The predictions, the measured rates, and in `verdict` what breaks first. `to_json()` gives
        what `rsretrieve explain --json` prints.

    Raises:
        InvalidArgument: an argument is of a wrong type, or makes no sense; or the costs of this
            kind of index cannot be predicted.

    Example:
        >>> import rsretrieve
        >>> explained = rsretrieve.explain(at_scale=[100_000, 1_000_000], memory="1GB")
        >>> [(one.command, one.tiles, one.faiss_key) for one in explained.predictions][2:]
        [('index', 1000000, 'IVF2048,Flat'), ('query', 1000000, 'IVF2048,Flat')]
        >>> explained.predictions[2].total_seconds > 0
        True
    """
    with CallReport(progress) as call:
        goal = IndexGoal(
            plain_text(index, "index"),
            0.95 if recall is None else number(recall, "recall"),
            byte_count(memory, "memory"),
        )
        folder = path_of(output, "output") if output else Path()
        price = None if dollars_per_hour is None else number(dollars_per_hour, "dollars_per_hour")
        names = texts(commands, "commands")
        if tiles is None and "train" in names:
            raise wrong("tiles", "tiles with labels, which the costs of train need", tiles)
        counts, wide = _counts(at_scale), whole(dimensions, "dimensions", 1)
        if tiles is None:
            if counts is None or model is not None:
                raise wrong("tiles", "tiles; without them at_scale, and no model", tiles)
            return explain_costs(CostQuestion(counts, wide, goal, folder, price, names))
        found = tiles_of(tiles, call).tile_set
        asked = embedding_request(model, None, None, 0)
        start = Cost.since(call.context.cost)
        with used_model(model, found, asked, device, call) as used:
            with_model = Cost.since(call.context.cost)
            rates = measure_tiles(used.loaded, found, call.context, with_model)
        training = None
        if "train" in names:
            chosen = choose_device(device_name(device))
            training = measure_training(found, chosen, call.context, start=start)
        counts = counts or (len(found),)
        long = long_from(given_files(tiles) or (), len(found))
        question = CostQuestion(counts, rates.dimensions, goal, folder, price, names, long)
        return explain_costs(question, rates, training)


def _counts(at_scale: float | Iterable[float] | None) -> tuple[int, ...] | None:
    if at_scale is None:
        return None
    is_several = isinstance(at_scale, Iterable) and not isinstance(at_scale, str | bytes)
    several = [*at_scale] if is_several else [at_scale]  # type: ignore[misc]
    if not several:
        raise wrong("at_scale", "a number of tiles, or several", at_scale)
    return tuple(whole(_without_point(count), "at_scale", 1) for count in several)


def _without_point(count: object) -> object:
    """A number such as 1e6, which is a float, as a whole number."""
    return int(count) if isinstance(count, float) and count.is_integer() else count
