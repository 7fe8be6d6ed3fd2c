"""Embed tiles, keep them in an index, search it, and measure how well it answers."""
