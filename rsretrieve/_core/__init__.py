"""Helpers that know nothing of tiles, models or labels."""
