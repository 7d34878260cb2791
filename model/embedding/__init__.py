"""Crops to embeddings: what a network is, and what runs it. Knows no threshold."""
