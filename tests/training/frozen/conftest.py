"""The small tiles of these tests."""

from tests.support.networks import tiles

__all__ = ["tiles"]
