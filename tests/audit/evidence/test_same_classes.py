"""Models that cannot be averaged are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from rsretrieve.audit.evidence.same_classes import check_same_classes
from rsretrieve.data.preprocessing.preprocessing import BandStatistics, Preprocessing
from rsretrieve.errors import InputError
from rsretrieve.network.metadata import ModelDescription, ModelFolder

STATISTICS = BandStatistics((1.0,), (1.0,), (0.0,), (255.0,))


def model(name: str, *classes: str, size: int = 32) -> ModelFolder:
    described = ModelDescription(
        backbone="resnet18",
        dimensions=8,
        preprocessing=Preprocessing(size, 1, (1,), "uint8", STATISTICS),
        class_names=classes,
        recipe={},
        training={},
        versions={},
        weights_sha256="0",
    )
    return ModelFolder(Path(name), described)


def test_models_of_the_same_classes_may_have_other_sizes() -> None:
    check_same_classes([model("m", "a", "b"), model("n", "a", "b", size=64)])
    check_same_classes([model("m")])


@pytest.mark.parametrize(
    ("models", "words"),
    [
        ((model("m", "a", "b"), model("n", "a", "c")), ["only m knows", "only n knows"]),
        ((model("m", "a", "b"), model("n", "a")), ["only m knows"]),
        ((model("m", "a", "b"), model("n")), ["n was not trained on labels"]),
        ((model("m", "a", "b"), model("x/../m", "a", "b")), ["given twice"]),
    ],
)
def test_other_models_are_refused(models: tuple[ModelFolder, ...], words: list[str]) -> None:
    with pytest.raises(InputError) as refused:
        check_same_classes(models)
    assert all(word in str(refused.value) for word in words)
    assert ("only n" in str(refused.value)) == ("only n knows" in words)
