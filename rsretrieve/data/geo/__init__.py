"""Where tiles lie on Earth."""
