"""Judge labels by their tiles' similarity to the class prototypes."""
