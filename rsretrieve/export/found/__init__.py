"""Write the tiles of a kind, and changes."""
