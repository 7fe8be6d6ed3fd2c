"""Commands that keep folders in order."""
