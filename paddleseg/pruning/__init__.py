"""A trained student with fewer filters: PaddleSlim's pruners, and the training of what remains."""

from paddleseg.pruning.prune import prune

__all__ = ["prune"]
