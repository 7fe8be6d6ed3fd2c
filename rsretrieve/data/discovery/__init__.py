"""From a command-line argument to a set of tiles."""
