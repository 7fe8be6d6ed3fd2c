"""What work will cost, for Python."""
