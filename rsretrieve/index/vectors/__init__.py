"""The FAISS index of the embeddings."""
