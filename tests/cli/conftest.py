"""The model and the index of the commands' tests."""

from tests.support.programs import index, model, noisy

__all__ = ["index", "model", "noisy"]
