"""How large a measurement may be, and what is computed of measurements."""

EXTREME = 1e30
"""Larger values are no measurements: usual fill values are 9.97e36 (netCDF) and 3.4e38. The squares
of smaller ones are finite in float64."""

MOST_STATISTIC = 2 * EXTREME
"""No mean and no deviation of measurements is larger; float32 rounds 1e30 up."""
