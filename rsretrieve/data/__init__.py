"""Tiles and their labels: find them, read them, and prepare them for the network."""
