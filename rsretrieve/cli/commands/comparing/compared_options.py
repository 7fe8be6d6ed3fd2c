"""The options of `rsretrieve compare` that say what is varied, and their checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import typer

from rsretrieve.cli import options
from rsretrieve.cli.early_checks import (
    check_bands,
    check_labels_file,
    check_training,
    find_weights,
    refuse_no_labels,
)
from rsretrieve.cli.training_options import parsed_value
from rsretrieve.data.labels.noise_choice import NoiseChoice

VARY = "--vary"


def parsed_vary(given: Sequence[str]) -> dict[str, list[Any]]:
    """The values of each varied option, by the names of the Python interface."""
    found: dict[str, list[Any]] = {}
    for text in given:
        name, mark, values = text.partition("=")
        if not mark or not values:
            raise typer.BadParameter(f"expected NAME=A,B,… not {text!r}", param_hint=VARY)
        # A ; at the end says that there is one value, which has commas.
        texts = values.removesuffix(";").split(";") if ";" in values else values.split(",")
        several = [value.strip() for value in texts]
        if not all(several):
            raise typer.BadParameter(f"{text!r} has an empty value", param_hint=VARY)
        if len(set(several)) < len(several):
            raise typer.BadParameter(f"{text!r} has a value twice", param_hint=VARY)
        if name.strip() == "noise":
            key, parsed = "noise", several
        else:
            pairs = [parsed_value(name, value, VARY) for value in several]
            key = pairs[0][0]
            parsed = [_value_in_python(key, value) for _, value in pairs]
        key = _RENAMED.get(key, key)
        if key in found:
            raise typer.BadParameter(f"{name} is varied twice", param_hint=VARY)
        found[key] = parsed
    return found


_RENAMED = {"val": "validation"}


def in_python(training: Mapping[str, Any]) -> dict[str, Any]:
    """Options of `train` as the Python interface takes them."""
    return {
        _RENAMED.get(name, name): None
        if value is False or value == []
        else _value_in_python(name, value)
        for name, value in training.items()
    }


def _value_in_python(name: str, value: Any) -> Any:
    if name == "bands":
        return options.parse_bands(value) or None
    if name == "batch_size" and value != "auto":
        return options.parse_count(value, "--batch-size")
    return value


def all_values(name: str, *given: Mapping[str, Any]) -> list[Any]:
    """All values of an option, varied or not."""
    varied, fixed = given
    found = varied.get(name, [fixed.get(name)])
    return [value for value in found if value is not None]


def check_values(varied: Mapping[str, Any], fixed: Mapping[str, Any]) -> None:
    """Find wrong names and missing files before PyTorch loads."""
    for labels in all_values("labels", varied, fixed):
        refuse_no_labels(labels)
        check_labels_file(labels)
    for bands in all_values("bands", varied, fixed):
        check_bands(bands)
    for noise in all_values("noise", varied, fixed):
        NoiseChoice.parse(noise)
    for weights in all_values("weights", varied, fixed):
        check_training(None, find_weights(weights).source)
    for backbone in all_values("backbone", varied, fixed):
        check_training(backbone, None)
