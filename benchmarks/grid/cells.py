"""A cell of the grid: one data set, one noise, one method, one seed."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from enum import StrEnum

from grid.made_up import ALIKE, FEW, MANY, MadeUp
from grid.noises import Noise
from rsretrieve.enums import LossName


class Method(StrEnum):
    """What is compared."""

    ROBUST = "robust"
    ROBUST_BY_AGREEMENT = "robust-by-agreement"
    PAPER_T_RNSL = "paper-t-rnsl"
    PAPER_RNSL = "paper-rnsl"
    PAPER_NSL = "paper-nsl"
    CROSS_ENTROPY = "cross-entropy"
    EARLY_LEARNING = "early-learning"
    SMALL_LOSS = "small-loss"
    FROZEN = "frozen"

    @property
    def paper_loss(self) -> LossName | None:
        """Which loss the paper's recipe is trained with; None for other methods."""
        start = "paper-"
        return LossName(self.removeprefix(start)) if self.startswith(start) else None


class Dataset(StrEnum):
    """Real tiles, by the name of their folder, and tiles that are made up."""

    UC_MERCED = "ucmerced"
    AID = "aid128"
    MADE_FEW = "made-few"
    MADE_MANY = "made-many"
    MADE_ALIKE = "made-alike"
    HARD_2 = "ucmerced-hard-2"
    HARD_3 = "ucmerced-hard-3"
    HARD_5 = "ucmerced-hard-5"
    HARD_8 = "ucmerced-hard-8"
    UNEQUAL = "ucmerced-unequal"

    @property
    def hard_classes(self) -> int | None:
        """How many classes of UC Merced that are easily confused; None for other sets."""
        start = "ucmerced-hard-"
        return int(self.removeprefix(start)) if self.startswith(start) else None

    @property
    def made_up(self) -> MadeUp | None:
        """What is made; None for real tiles."""
        return {Dataset.MADE_FEW: FEW, Dataset.MADE_MANY: MANY, Dataset.MADE_ALIKE: ALIKE}.get(self)


@dataclass(frozen=True)
class Cell:
    """One run.

    Attributes:
        dataset: the tiles.
        size_px: what tiles are resized to.
        noise: how training labels go wrong.
        rate: how many of them.
        method: what is trained.
        backbone: a torchvision classification model.
        epochs: of the training.
        seed: of the split, the noise and the training.
    """

    dataset: Dataset
    size_px: int
    noise: Noise
    rate: float
    method: Method
    backbone: str
    epochs: int
    seed: int

    @property
    def key(self) -> tuple[str, ...]:
        """What tells it from all other cells, as text."""
        return tuple(_text(getattr(self, field.name)) for field in fields(self))

    @property
    def command(self) -> str:
        """What reproduces this cell alone."""
        options = " ".join(
            f"--{field.name.replace('_', '-').removesuffix('-px')} {text}"
            for field, text in zip(fields(self), self.key)
        )
        return f"python benchmarks/noise_robustness.py {options}"


CELL_COLUMNS = tuple(field.name for field in fields(Cell))


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


NOISES = (
    *((Noise.UNIFORM, rate) for rate in (0.0, 0.1, 0.3, 0.5, 0.7)),
    *((Noise.TABLE, rate) for rate in (0.1, 0.3, 0.5, 0.7)),
    (Noise.INSTANCE, 0.2),
)
_FIRST = Cell(
    Dataset.UC_MERCED, 64, Noise.UNIFORM, 0.5, Method.ROBUST, "mobilenet_v2", epochs=40, seed=0
)


def quick_cells() -> list[Cell]:
    """Minutes on two cores: to see that all runs, not what is better."""
    methods = (Method.ROBUST, Method.PAPER_T_RNSL, Method.CROSS_ENTROPY, Method.FROZEN)
    return [replace(_FIRST, method=method, epochs=2) for method in methods]


def cpu_cells() -> list[Cell]:
    """UC Merced at 64 and 128 px, every noise: hours on two cores.

    What says most comes first, so that a grid that is cut short says something.
    """
    main = (Method.ROBUST, Method.PAPER_T_RNSL, Method.PAPER_NSL)
    more = (Method.FROZEN, Method.CROSS_ENTROPY)
    telling = [n for n in NOISES if n in (NOISES[2], NOISES[3], NOISES[6])]
    hard = (NOISES[3], NOISES[4])  # uniform 0.5 and 0.7, whose means are over three seeds
    return list(
        dict.fromkeys(
            itertools.chain(
                _product([_FIRST], telling, main),
                _product([_FIRST], NOISES, main),
                _product(_seeds(_FIRST, (1, 2)), hard, (Method.ROBUST,)),
                _product([_FIRST], NOISES, more),
                _product([replace(_FIRST, size_px=128)], telling, main),
                _product(_seeds(_FIRST, (1, 2)), NOISES, (*main, *more)),
                _product([replace(_FIRST, size_px=128)], NOISES, (*main, *more)),
            )
        )
    )


def gpu_cells() -> list[Cell]:
    """AID at 128 px for the paper's 130 epochs, two backbones."""
    starts = [
        replace(_FIRST, dataset=Dataset.AID, size_px=128, backbone=backbone, epochs=130)
        for backbone in ("resnet18", "mobilenet_v2")
    ]
    noises = [n for n in NOISES if n[1] in (0.0, 0.3, 0.5)]
    return _product(starts, noises, tuple(Method))


def _seeds(cell: Cell, seeds: Iterable[int]) -> Iterator[Cell]:
    return (replace(cell, seed=seed) for seed in seeds)


def _product(
    starts: Iterable[Cell], noises: Sequence[tuple[Noise, float]], methods: Sequence[Method]
) -> list[Cell]:
    return [
        replace(start, noise=noise, rate=rate, method=method)
        for start, (noise, rate), method in itertools.product(starts, noises, methods)
    ]
