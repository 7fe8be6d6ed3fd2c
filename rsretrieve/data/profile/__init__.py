"""What is known of the tiles that a model was trained on, and whether other tiles are like them."""
