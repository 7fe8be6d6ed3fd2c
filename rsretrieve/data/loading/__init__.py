"""Batches of tiles, and the cache of preprocessed tiles."""
