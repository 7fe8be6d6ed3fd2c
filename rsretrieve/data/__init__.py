"""Tiles and their labels: finding them, reading them, and what the network gets to see of them."""
