"""Decoding the pixels of tiles, windows and scenes."""
