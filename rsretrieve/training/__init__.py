"""Train an embedding network on labels some of which are wrong."""
