"""From disk to batches: find tiles and labels, read pixels, split, corrupt, stream, augment."""
