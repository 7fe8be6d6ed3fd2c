"""A synthetic landscape with known labels, for the demo and the tests."""
