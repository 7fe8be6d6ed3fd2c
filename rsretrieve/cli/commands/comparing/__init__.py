"""Commands that train several models."""
