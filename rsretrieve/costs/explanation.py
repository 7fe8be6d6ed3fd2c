"""What commands will cost for numbers of tiles, and what ends first: memory, disk or patience."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rsretrieve._core.machine.memory import available_bytes
from rsretrieve._core.text import decimal_size
from rsretrieve.costs.audit_costs import measure_audit, predict_audit
from rsretrieve.costs.machine_rates import MachineRates, measure_machine
from rsretrieve.costs.predict_index import (
    Prediction,
    parts_of,
    plan_for,
    predict_index,
    predict_query,
)
from rsretrieve.costs.tile_rates import TileRates
from rsretrieve.costs.train_costs import TrainRates, predict_training
from rsretrieve.errors import InvalidArgument
from rsretrieve.index.vectors.choose_kind import EXACT_KEY, IndexGoal

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
    """

    memory_bytes: int
    disk_bytes: int
    dollars_per_hour: float | None = None


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

    Raises:
        InvalidArgument: a number is out of range.
    """

    counts: tuple[int, ...]
    dimensions: int = 128
    goal: IndexGoal = field(default_factory=IndexGoal)
    folder: Path = Path()
    dollars_per_hour: float | None = None
    commands: tuple[str, ...] = DEFAULT_COMMANDS

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


def explain_costs(
    question: CostQuestion, tiles: TileRates | None = None, training: TrainRates | None = None
) -> Explanation:
    """Measure the machine and predict.

    Args:
        question: for how many tiles.
        tiles: how fast tiles are embedded; None if the embeddings are given.
        training: how fast tiles are trained on; None if `train` is not asked for.

    Returns:
        The predictions, of each command for each number of tiles.

    Raises:
        InvalidArgument: the kind of index is one whose size cannot be predicted.
    """
    memory = available_bytes()
    limits = Limits(memory, _free_bytes(question.folder), question.dollars_per_hour)
    index_memory = question.goal.memory_bytes or memory // 2
    plans = {
        count: plan_for(count, question.dimensions, index_memory, question.goal)
        for count in question.counts
    }
    for plan in plans.values():
        if plan.predicted_bytes is None:
            raise InvalidArgument(
                f"the costs of {plan.faiss_key!r} cannot be predicted",
                hint="give --index auto, Flat, or IVF cells with Flat, SQ8, PQ or RaBitQ codes",
            )
    codes = {EXACT_KEY, *(parts_of(plan.faiss_key).code for plan in plans.values())}
    rates = measure_machine(question.dimensions, tuple(sorted(codes)))
    audit = measure_audit(rates) if "audit-labels" in question.commands else None
    predictions: list[Prediction] = []
    for count, plan in plans.items():
        found = {
            "index": predict_index(rates, plan, count, tiles),
            "query": predict_query(rates, plan, count),
        }
        if audit is not None:
            found["audit-labels"] = predict_audit(rates, audit, count, tiles)
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
        if one.disk_bytes > limits.disk_bytes:
            return (
                f"The disk is full first: {one.command} of {one.tiles:,} tiles writes "
                f"{decimal_size(one.disk_bytes)}, and {decimal_size(limits.disk_bytes)} are "
                "free."
            )
        if one.total_seconds > _LONG_S:
            return (
                f"Time is too long first: {one.command} of {one.tiles:,} tiles takes "
                f"{one.total_seconds / 3600:,.0f} hours, more than a week."
            )
    return "Memory, disk and time suffice for all of these."


def _free_bytes(folder: Path) -> int:
    """Free space on the disk of a folder that need not exist yet."""
    place = folder.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    return shutil.disk_usage(place).free
