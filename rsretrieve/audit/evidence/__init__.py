"""What the audit knows about each tile: embeddings, prototypes, training history."""
