"""What is compared: choices, and the cells of the grid, a choice trained with a seed."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from rsretrieve.data.labels.noise_choice import NoiseChoice
from rsretrieve.data.profile.band_names import BandChoice
from rsretrieve.data.tile import TileSet
from rsretrieve.errors import InvalidArgument
from rsretrieve.training.recipe import Recipe

_OF_PATHS = ("labels", "weights", "val")
_LONGEST = 60


@dataclass(frozen=True)
class TrainingChoice:
    """How the models of one choice are trained, except for the seed.

    Attributes:
        values: what is varied: names of options of `train` (or `noise`) and their values as text.
        recipe: every hyper-parameter.
        weights: as `train --weights` takes them.
        bands: the bands to use; empty for all.
        micro_batches: as `train --batch-size auto`.
        labels: a labels file, or None for the labels that the tiles have.
        noise: how labels are made wrong before the training, or None.
        validation: validation tiles, or None for a tenth of the training tiles.
        options: options of `train` that a command needs beside the recipe's, by their names.
        short: short texts of some values, by name and value; see `named_apart`.
    """

    values: tuple[tuple[str, str], ...]
    recipe: Recipe
    weights: str
    bands: tuple[BandChoice, ...] = ()
    micro_batches: bool = False
    labels: Path | None = None
    noise: NoiseChoice | None = None
    validation: TileSet | None = None
    options: Mapping[str, object] = field(default_factory=dict)
    short: Mapping[tuple[str, str], str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The values for people; files by the end of their path."""
        return named(self.values, self.short)

    @property
    def slug(self) -> str:
        """The same as the beginning of a file name; different for different values."""
        return slug_of(self.values)

    def config(self, cell: Mapping[str, object]) -> dict[str, object]:
        """All options of `train` for one cell; see `write_config`.

        Args:
            cell: those of the cell: tiles, labels, seed, device and output.
        """
        found: dict[str, object] = {**self.options, "recipe": self.recipe.name}
        found |= {"weights": self.weights, **self.recipe.options()}
        if self.micro_batches:
            found["batch_size"] = "auto"
        if self.bands:
            found["bands"] = ",".join(map(str, self.bands))
        plain = {name.replace("_", "-"): value for name, value in (found | dict(cell)).items()}
        return {name: None if value is False else value for name, value in plain.items()}


@dataclass(frozen=True)
class Cell:
    """A choice trained with a seed."""

    choice: TrainingChoice
    seed: int

    @property
    def name(self) -> str:
        """Also the name of the model folder."""
        return f"{self.choice.slug}-seed{self.seed}"

    @property
    def title(self) -> str:
        """For people."""
        return f"{self.choice.name}, seed {self.seed}"


@dataclass(frozen=True)
class Contrast:
    """Two choices that are compared: positions among the choices."""

    baseline: int
    choice: int


def named(
    values: Sequence[tuple[str, str]], short: Mapping[tuple[str, str], str] | None = None
) -> str:
    """Values for people; files by their last name, unless there is another short text.

    >>> named([("labels", "made/fixed.csv"), ("loss", "nsl")])
    'labels=fixed.csv, loss=nsl'
    """
    known = short or {}
    return ", ".join(f"{k}={known.get((k, value)) or _short(k, value)}" for k, value in values)


def named_apart(choices: Sequence[TrainingChoice]) -> tuple[TrainingChoice, ...]:
    """The choices with names that differ: files by the shortest ends of paths that differ."""
    short: dict[tuple[str, str], str] = {}
    for key in _OF_PATHS:
        values = {value for choice in choices for name, value in choice.values if name == key}
        short |= {(key, value): _end_of(value, values - {value}) for value in values}
    return tuple(replace(choice, short=short) for choice in choices)


def _end_of(value: str, others: Collection[str]) -> str:
    """The shortest end of a path that no other path has; the whole text if there is none."""
    parts = Path(value).parts
    for count in range(1, len(parts) + 1):
        end = parts[-count:]
        if all(Path(other).parts[-count:] != end for other in others):
            return Path(*end).as_posix()
    return value


def slug_of(values: Sequence[tuple[str, str]]) -> str:
    """Values as the beginning of a file name; different for different values.

    >>> slug_of([("loss", "nsl"), ("epochs", "3")])
    'loss-nsl--epochs-3'
    """
    text = "--".join(f"{key}-{value}" for key, value in values)
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", text)
    if plain == text and len(text) <= _LONGEST:
        return text
    return f"{plain[:_LONGEST].strip('-.')}-{sha256(text.encode()).hexdigest()[:6]}"


def _short(key: str, value: str) -> str:
    return Path(value).name or value if key in _OF_PATHS else value


def contrasts_of(choices: Sequence[TrainingChoice], baseline: str | None = None) -> list[Contrast]:
    """Which choices are compared: the values of the first name, all others being equal.

    Args:
        choices: every combination of the values.
        baseline: the value of the first name that the others are compared with; by default the
            first one.

    Raises:
        InvalidArgument: there is no such value, or there is nothing to compare.
    """
    first = list(dict.fromkeys(choice.values[0][1] for choice in choices))
    base = first[0] if baseline is None else baseline
    if base not in first:
        raise InvalidArgument(
            f"the baseline {base!r} is none of the values of {choices[0].values[0][0]}",
            hint=f"they are {', '.join(first)}",
        )
    if len(first) < 2:
        raise InvalidArgument(
            f"there is nothing to compare: {choices[0].values[0][0]} has one value only, {base}",
            hint="give at least two values to the first --vary",
        )
    place: dict[tuple[Any, ...], int] = {c.values: i for i, c in enumerate(choices)}
    return [
        Contrast(place[((c.values[0][0], base), *c.values[1:])], i)
        for i, c in enumerate(choices)
        if c.values[0][1] != base
    ]
