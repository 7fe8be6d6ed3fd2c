"""Tiles of one list that are also, wholly or partly, in another one."""
