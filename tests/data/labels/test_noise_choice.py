"""Noise as it is typed."""

from __future__ import annotations

from pathlib import Path

import pytest

from rsretrieve.data.labels.noise_choice import NoiseChoice
from rsretrieve.enums import NoiseKind
from rsretrieve.errors import InvalidArgument


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("uniform:0.3", NoiseChoice(NoiseKind.UNIFORM, 0.3)),
        ("table:aid:0.1", NoiseChoice(NoiseKind.TABLE, 0.1, "aid")),
        ("label-dependent:aid:0.1", NoiseChoice(NoiseKind.LABEL_DEPENDENT, 0.1, "aid")),
        ("table:C:/made/t.csv:1", NoiseChoice(NoiseKind.TABLE, 1, "C:/made/t.csv")),
        ("table:from-model:m:0.2", NoiseChoice(NoiseKind.TABLE, 0.2, "from-model", Path("m"))),
        ("instance:models/m:0.2", NoiseChoice(NoiseKind.INSTANCE, 0.2, None, Path("models/m"))),
        ("none", None),
    ],
)
def test_a_noise_is_parsed(text, expected):
    assert NoiseChoice.parse(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("uniform", "uniform:", "uniform:x", "uniform:1.5", "uniform:nan", "random:0.3", ""),
        *("table:0.3", "instance:0.3", "table:from-model:0.3", "uniform:aid:0.3"),
    ],
)
def test_what_is_no_noise_is_refused_with_the_forms(text):
    with pytest.raises(InvalidArgument) as error:
        NoiseChoice.parse(text)
    assert "uniform:RATE" in error.value.hint
