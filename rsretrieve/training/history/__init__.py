"""What a training records about each tile."""
