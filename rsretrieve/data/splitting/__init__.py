"""Split tiles into lists that share no scene and no place on the ground."""
