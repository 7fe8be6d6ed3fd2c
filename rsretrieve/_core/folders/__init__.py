"""Folders that are replaced as a whole: which are ours, and which files in them."""
