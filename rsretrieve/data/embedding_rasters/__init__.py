"""Rasters whose bands are the dimensions of embeddings."""
