"""From decoded pixels to the input of a network."""
