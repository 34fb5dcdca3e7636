"""Pruning: PaddleSlim removes filters of a trained student, and the student is trained further."""

from paddleseg.pruning.prune import prune

__all__ = ["prune"]
