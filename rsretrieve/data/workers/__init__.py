"""The confined processes in which files are decoded."""
