"""Check that several models can be averaged."""

from __future__ import annotations

from collections.abc import Sequence

from rsretrieve._core.text import some_of
from rsretrieve.errors import InputError
from rsretrieve.network.metadata import ModelFolder


def check_same_classes(models: Sequence[ModelFolder]) -> None:
    """Check that models were trained on the same classes. Their sizes may differ.

    Args:
        models: one or more.

    Raises:
        InputError: there are several, and one is given twice, knows no classes or knows others.
    """
    first = models[0]
    for other in models[1:]:
        if other.folder.resolve() in {
            each.folder.resolve() for each in models if each is not other
        }:
            raise InputError(f"the model {other.folder} is given twice")
    for model in models if len(models) > 1 else ():
        if not model.description.class_names:
            raise InputError(
                f"{model.folder} was not trained on labels: it cannot be averaged with others",
                hint="give it alone, or give models that were trained on the same classes",
            )
        if differences := [*_only(first, model), *_only(model, first)]:
            raise InputError(
                f"the models do not know the same classes: {'; '.join(differences)}",
                hint="average models that were trained on the same classes; their sizes may differ",
            )


def _only(model: ModelFolder, other: ModelFolder) -> list[str]:
    """The classes that one model knows, and the other one does not."""
    names = set(model.description.class_names) - set(other.description.class_names)
    return [f"only {model.folder} knows {some_of(sorted(names))}"] if names else []
