"""Train the projection and the prototypes alone, on features that are computed once."""
