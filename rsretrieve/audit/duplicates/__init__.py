"""Near-duplicate tiles."""
