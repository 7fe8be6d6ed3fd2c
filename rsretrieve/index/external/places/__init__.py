"""Places in tables of external embeddings."""
