"""Near-duplicate tiles with different labels."""
