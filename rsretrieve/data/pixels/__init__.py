"""What the values of a file mean: the one definition of a pixel, for every way of reading it."""
