"""Compare trainings, for Python."""
