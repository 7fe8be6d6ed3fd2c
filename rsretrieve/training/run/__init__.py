"""How a training run begins, and what identifies it."""
