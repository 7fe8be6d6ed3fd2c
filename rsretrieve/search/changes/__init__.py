"""Compare two embeddings of the same places."""
