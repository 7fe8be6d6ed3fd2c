"""Every combination of varied options as a choice that can be trained."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rsretrieve.api.arguments.checks import path_of, plain_text, refuse_unknown, wrong
from rsretrieve.api.model_training import RecipeChoices, RecipeOptions
from rsretrieve.comparison.choice import TrainingChoice, named_apart
from rsretrieve.data.labels.noise_choice import NoiseChoice
from rsretrieve.data.tile import TileSet

RECIPE_OPTIONS = (*RecipeOptions.__annotations__,)
VARIED = ("labels", "noise", "recipe", "validation", *RECIPE_OPTIONS)
_NAMES = {"validation": "val"}


@dataclass(frozen=True)
class GridRequest:
    """What the choices are made of.

    Attributes:
        vary: the values of each varied option; names are those of `VARIED`.
        fixed: the values of the other options, by the same names; those that are None are left
            to the recipe.
        find: finds the tiles of a value of `validation`.
        config: options of `train` for all choices, beside these; see `TrainingChoice.options`.
    """

    vary: Mapping[str, Sequence[Any]]
    fixed: Mapping[str, Any]
    find: Callable[[Any], TileSet]
    config: Mapping[str, object] = field(default_factory=dict)


def choices_of(request: GridRequest) -> tuple[tuple[TrainingChoice, ...], tuple[str, ...]]:
    """All combinations; the values of the last option change fastest.

    Returns:
        The choices, and notices.

    Raises:
        InvalidArgument: there is no such option, a value makes no sense, or is there twice.
    """
    refuse_unknown({*request.vary}, {*VARIED}, "option to vary")
    if not request.vary:
        raise wrong("vary", "at least one option with its values", dict(request.vary))
    for name, values in request.vary.items():
        texts = [text_of_value(value) for value in values]
        if not texts or len(set(texts)) < len(texts):
            raise wrong(f"vary {name}", "different values, at least one", list(values))
    found: list[TrainingChoice] = []
    notices: list[str] = []
    tile_sets: dict[str, TileSet] = {}
    for combination in itertools.product(*request.vary.values()):
        varied = dict(zip(request.vary, combination))
        choice, said = _choice(varied, request, tile_sets)
        found.append(choice)
        notices += said
    return named_apart(found), tuple(dict.fromkeys(notices))


def _choice(
    varied: Mapping[str, Any], request: GridRequest, tile_sets: dict[str, TileSet]
) -> tuple[TrainingChoice, tuple[str, ...]]:
    options = {**request.fixed, **varied}
    labels, noise, val = (options.pop(name, None) for name in ("labels", "noise", "validation"))
    chosen = RecipeChoices(options.pop("recipe", None) or "robust", options)
    if val is not None and text_of_value(val) not in tile_sets:
        tile_sets[text_of_value(val)] = request.find(val)
    config = {**request.config, "normalise-by": chosen.normalise_by}
    if val is not None:
        config["val"] = _words(val)
    choice = TrainingChoice(
        values=tuple((option_name(n), text_of_value(v)) for n, v in varied.items()),
        recipe=chosen.recipe,
        weights=chosen.weights,
        bands=chosen.bands,
        micro_batches=chosen.micro_batches,
        labels=None if labels is None else path_of(labels, "labels"),
        noise=None if noise is None else NoiseChoice.parse(plain_text(noise, "noise")),
        validation=None if val is None else tile_sets[text_of_value(val)],
        options=config,
    )
    return choice, chosen.notices


def option_name(name: str) -> str:
    """The option of the command for an argument.

    >>> option_name("validation"), option_name("batch_size")
    ('val', 'batch-size')
    """
    return _NAMES.get(name, name.replace("_", "-"))


def vary_words(vary: Mapping[str, Sequence[Any]]) -> list[str] | None:
    """What `--vary` takes for the same; None if a command cannot say it.

    >>> vary_words({"loss": ["nsl", "rnsl"], "bands": [[3, 2, 1]]})
    ['loss=nsl;rnsl', 'bands=3,2,1;']
    """
    words = []
    for name, values in vary.items():
        texts = [text_of_value(value) for value in values]
        if not all(_can_be_typed(name, value) for value in values) or ";" in "".join(texts):
            return None
        end = ";" if len(texts) == 1 and "," in texts[0] else ""
        words.append(f"{option_name(name)}={';'.join(texts)}{end}")
    return words


def _can_be_typed(name: str, value: object) -> bool:
    if name == "bands":
        return value is not None
    return isinstance(value, str | int | float | os.PathLike) and text_of_value(value) != ""


def text_of_value(value: object) -> str:
    """A value as it is typed.

    >>> text_of_value(True), text_of_value([3, 2, 1]), text_of_value(0.5)
    ('true', '3,2,1', '0.5')
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return str(value)


def _words(tiles: object) -> list[str] | None:
    several = tiles if isinstance(tiles, list | tuple) else [tiles]
    return (
        [str(one) for one in several] if all(isinstance(s, str | Path) for s in several) else None
    )
