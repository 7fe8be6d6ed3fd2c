"""Build and copy indexes from Python."""
