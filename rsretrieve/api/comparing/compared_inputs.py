"""The files and folders that the trainings of a comparison read."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rsretrieve.data.labels.noise_choice import FROM_MODEL, NoiseChoice

READ = ("labels", "validation", "weights", "noise")
"""The options of a training that name files or folders."""


def compared_inputs(values: Mapping[str, Sequence[Any]]) -> dict[str, str]:
    """What may not be overwritten, by a name for messages.

    Args:
        values: all values of the options `READ`, varied or not. What is no path is left out.

    Raises:
        InvalidArgument: a text is no label noise.
    """
    found: dict[str, str] = {}
    for name, given in values.items():
        paths = (path for value in given for path in _paths(name, value))
        found |= {name if i == 1 else f"{name} ({i})": path for i, path in enumerate(paths, 1)}
    return found


def _paths(name: str, value: object) -> Iterator[str]:
    if isinstance(value, list | tuple):
        for each in value:
            yield from _paths(name, each)
    elif isinstance(value, str | os.PathLike) and (text := os.fspath(value)):
        if name == "noise":
            yield from _paths_of_noise(NoiseChoice.parse(text))
        elif name != "weights":
            yield text
        else:
            from rsretrieve.network.shipped.given_weights import given_weights

            if (path := given_weights(text).path) is not None:
                yield str(path)


def _paths_of_noise(noise: NoiseChoice | None) -> Iterator[str]:
    if noise is not None and noise.table not in (None, FROM_MODEL):
        yield str(noise.table)
    if noise is not None and noise.model is not None:
        yield str(noise.model)
