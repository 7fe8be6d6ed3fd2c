"""External embeddings: files of vectors that another program computed."""
