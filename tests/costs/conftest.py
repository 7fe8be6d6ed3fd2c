"""The model of these tests."""

from tests.support.programs import model, noisy

__all__ = ["model", "noisy"]
