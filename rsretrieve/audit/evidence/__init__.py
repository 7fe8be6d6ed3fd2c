"""What the audit knows about each tile: embedding, prototypes, training history."""
