"""Find every tile of one kind, from examples and a person's answers."""
