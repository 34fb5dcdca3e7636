"""Frozen teachers: what they answer, what computes them, and the cache of their answers."""
