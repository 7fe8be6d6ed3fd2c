"""Training an embedding network on labels of which some are wrong."""
