"""The model and the index of the commands' tests."""

from tests.cli.conftest import index, model, noisy

__all__ = ["index", "model", "noisy"]
