"""Commands that find tiles of a kind, and changes."""
