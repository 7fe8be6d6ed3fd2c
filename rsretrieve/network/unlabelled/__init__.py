"""Embeddings that need no labels and no training."""
