"""Embeddings that another program computed."""
