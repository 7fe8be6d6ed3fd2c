"""Embed tiles on several machines. Only `ray_cluster` knows of Ray."""
