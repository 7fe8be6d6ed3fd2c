"""Labels: reading them, splitting tiles by them, and corrupting them for experiments."""
