"""Losses, the network, recipes, the one training loop, and the model store."""
