"""The tiles, model and index of these tests."""

from tests.support.indexes.made_indexes import in_float32, model, other_model, store, tiles

__all__ = ["in_float32", "model", "other_model", "store", "tiles"]
