"""The label audit: which labels are probably wrong."""
