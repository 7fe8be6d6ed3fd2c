"""What commands will cost for numbers of tiles, and what ends first: memory, disk or patience."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rsretrieve._core.machine.memory import available_bytes
from rsretrieve._core.text import decimal_size
from rsretrieve.costs.audit_costs import measure_audit, predict_audit
from rsretrieve.costs.cost import NO_COST, Cost
from rsretrieve.costs.machine_rates import MachineRates, measure_machine
from rsretrieve.costs.predict_index import (
    Prediction,
    is_known,
    parts_of,
    plan_for,
    predict_index,
    predict_query,
)
from rsretrieve.costs.tile_rates import TileRates
from rsretrieve.costs.train_costs import TrainRates, predict_training
from rsretrieve.errors import InvalidArgument
from rsretrieve.index.vectors.choose_kind import EXACT_KEY, IndexGoal
from rsretrieve.index.vectors.key_checks import check_key

COMMANDS = ("index", "query", "audit-labels", "train")
DEFAULT_COMMANDS = ("index", "query")
_LONG_S = 7 * 24 * 3600
_MOST_TILES = 10**12


@dataclass(frozen=True)
class Limits:
    """What the machine has.

    Attributes:
        memory_bytes: memory that can be allocated.
        disk_bytes: free space where the index will be written.
        dollars_per_hour: the price of the machine, or None.
        temporary_bytes: free space of the temporary folder; None if it is on the same disk.
    """

    memory_bytes: int
    disk_bytes: int
    dollars_per_hour: float | None = None
    temporary_bytes: int | None = None


@dataclass(frozen=True)
class Explanation:
    """The predictions for several numbers of tiles.

    Attributes:
        predictions: of each command, for each number of tiles.
        rates: what was measured.
        tile_rates: what was measured with tiles; None if embeddings are given.
        limits: what the machine has.
        verdict: one sentence: what breaks first.

    Example:
        >>> import rsretrieve
        >>> found = rsretrieve.explain(at_scale=10**6, dollars_per_hour=1.0)
        >>> all(found.dollars(one) > 0 for one in found.predictions)
        True
        >>> found.to_json()["verdict"] == found.verdict
        True
    """

    predictions: tuple[Prediction, ...]
    rates: MachineRates
    tile_rates: TileRates | None
    limits: Limits
    verdict: str

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        tiles = self.tile_rates
        return {
            "dimensions": self.rates.dimensions,
            "predictions": [self._row(one) for one in self.predictions],
            "verdict": self.verdict,
            "memory_bytes": self.limits.memory_bytes,
            "free_disk_bytes": self.limits.disk_bytes,
            "dollars_per_hour": self.limits.dollars_per_hour,
            "rates": vars(self.rates),
            "tile_rates": None if tiles is None else asdict(tiles),
        }

    def dollars(self, prediction: Prediction) -> float | None:
        """The price of a command; None if no price of the machine is known."""
        price = self.limits.dollars_per_hour
        return None if price is None else price * prediction.total_seconds / 3600

    def _row(self, prediction: Prediction) -> dict[str, Any]:
        return {
            "command": prediction.command,
            "tiles": prediction.tiles,
            "faiss_key": prediction.faiss_key,
            "steps": prediction.seconds,
            "seconds": prediction.total_seconds,
            "processor_seconds": prediction.processor_seconds,
            "hours": prediction.total_seconds / 3600,
            "memory_bytes": prediction.memory_bytes,
            "disk_bytes": prediction.disk_bytes,
            "read_bytes": prediction.read_bytes,
            "dollars": self.dollars(prediction),
        }


@dataclass(frozen=True)
class CostQuestion:
    """What is asked.

    Attributes:
        counts: numbers of tiles, each at least 1.
        dimensions: D of the embeddings.
        goal: the index wanted.
        folder: where the index will be written; its disk is looked at.
        dollars_per_hour: the price of the machine, or None.
        commands: what is predicted; see `COMMANDS`.
        long_from: the number of tiles from which their lists are indexed part by part; None: never.

    Raises:
        InvalidArgument: a number is out of range.
    """

    counts: tuple[int, ...]
    dimensions: int = 128
    goal: IndexGoal = field(default_factory=IndexGoal)
    folder: Path = Path()
    dollars_per_hour: float | None = None
    commands: tuple[str, ...] = DEFAULT_COMMANDS
    long_from: int | None = None

    def __post_init__(self) -> None:
        for count in self.counts:
            if not 1 <= count <= _MOST_TILES:
                raise InvalidArgument(
                    f"a number of tiles must be from 1 to {_MOST_TILES:.0e}, not {count}"
                )
        for name in self.commands:
            if name not in COMMANDS:
                raise InvalidArgument(
                    f"the costs of {name!r} cannot be predicted",
                    hint=f"choose among {', '.join(COMMANDS)}",
                )
        if not 1 <= self.dimensions <= 65_536:
            raise InvalidArgument(f"an embedding has 1 to 65536 dimensions, not {self.dimensions}")
        if self.dollars_per_hour is not None and not 0 <= self.dollars_per_hour < float("inf"):
            raise InvalidArgument(f"a price must be at least 0, not {self.dollars_per_hour}")

    def is_long(self, count: int) -> bool:
        """Whether lists of so many tiles are indexed part by part."""
        return self.long_from is not None and count >= self.long_from


def explain_costs(
    question: CostQuestion,
    tiles: TileRates | None = None,
    training: TrainRates | None = None,
    start: Cost = NO_COST,
) -> Explanation:
    """Measure the machine and predict.

    Args:
        question: for how many tiles.
        tiles: how fast tiles are embedded; None if the embeddings are given.
        training: how fast tiles are trained on; None if `train` is not asked for.
        start: what a command takes to start, if the embeddings are given.

    Returns:
        The predictions, of each command for each number of tiles.

    Raises:
        InvalidArgument: the kind of index is one whose size cannot be predicted, or that cannot be
            built of so many vectors.
    """
    memory = available_bytes()
    limits = _limits(memory, question)
    index_memory = question.goal.memory_bytes or memory // 2
    plans = {
        count: plan_for(count, question.dimensions, index_memory, question.goal)
        for count in question.counts
    }
    for count, plan in plans.items():
        if not is_known(plan):
            raise InvalidArgument(
                f"the costs of an index of type {plan.faiss_key} cannot be predicted",
                hint="give --index auto, Flat, or IVF cells with Flat, SQ8, PQ or RaBitQ codes",
            )
        check_key(plan.faiss_key, question.dimensions, count)
    codes = {EXACT_KEY, *(parts_of(plan.faiss_key).code for plan in plans.values())}
    rates = measure_machine(question.dimensions, tuple(sorted(codes)))
    audit = measure_audit(rates) if "audit-labels" in question.commands else None
    predictions: list[Prediction] = []
    for count, plan in plans.items():
        found = {
            "index": predict_index(
                *(rates, plan, count, tiles),
                is_long_list=question.is_long(count),
                start=start,
            ),
            "query": predict_query(rates, plan, count),
        }
        if audit is not None:
            found["audit-labels"] = predict_audit(rates, audit, count, tiles, start)
        if training is not None and tiles is not None:
            found["train"] = predict_training(training, count)
        predictions += [found[name] for name in question.commands if name in found]
    verdict = what_breaks_first(predictions, limits)
    return Explanation(tuple(predictions), rates, tiles, limits, verdict)


def what_breaks_first(predictions: Sequence[Prediction], limits: Limits) -> str:
    """One sentence: at which number of tiles something is too much, and what."""
    for one in sorted(predictions, key=lambda one: one.tiles):
        if one.memory_bytes > limits.memory_bytes:
            return (
                f"Memory ends first: {one.command} of {one.tiles:,} tiles needs "
                f"{decimal_size(one.memory_bytes)}, and {decimal_size(limits.memory_bytes)} "
                "can be allocated."
            )
        if full := _full_disk(one, limits):
            return full
        if one.total_seconds > _LONG_S:
            return (
                f"Time is too long first: {one.command} of {one.tiles:,} tiles takes "
                f"{one.total_seconds / 3600:,.0f} hours, more than a week."
            )
    peak = max((_peak_disk(one, limits) for one in predictions), default=0)
    most = max((one.disk_bytes for one in predictions), default=0)
    meanwhile = f" (with {decimal_size(peak)} while an index is written)" if peak > most else ""
    return f"Memory, disk{meanwhile} and time suffice for all of these."


def _peak_disk(one: Prediction, limits: Limits) -> int:
    """Bytes on the disk of the index, at most, while a command runs."""
    shared = one.temporary_bytes if limits.temporary_bytes is None else 0
    return one.disk_bytes + one.aside_bytes + shared


def _full_disk(one: Prediction, limits: Limits) -> str | None:
    """The sentence that a disk is too small for a command; None if it is not."""
    peak, done = _peak_disk(one, limits), f"{one.command} of {one.tiles:,} tiles"
    if peak > limits.disk_bytes:
        return (
            f"The disk is full first: {done} needs {decimal_size(peak)} while it runs, of which "
            f"{decimal_size(one.disk_bytes)} stay, and {decimal_size(limits.disk_bytes)} are free."
        )
    if limits.temporary_bytes is not None and one.temporary_bytes > limits.temporary_bytes:
        return (
            f"The temporary folder (TMPDIR) is full first: {done} needs "
            f"{decimal_size(one.temporary_bytes)} there, and "
            f"{decimal_size(limits.temporary_bytes)} are free."
        )
    return None


def _limits(memory: int, question: CostQuestion) -> Limits:
    place, temporary = _existing(question.folder), Path(tempfile.gettempdir())
    is_same = place.stat().st_dev == temporary.stat().st_dev
    elsewhere = None if is_same else shutil.disk_usage(temporary).free
    free = shutil.disk_usage(place).free
    return Limits(memory, free, question.dollars_per_hour, elsewhere)


def _existing(folder: Path) -> Path:
    """A folder, or the nearest one above it that exists."""
    place = folder.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    return place
