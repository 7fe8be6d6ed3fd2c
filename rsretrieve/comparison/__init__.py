"""Train a grid of choices over several seeds, and say which choice is better."""
