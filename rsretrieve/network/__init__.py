"""Embedding networks, and the files of a model."""
