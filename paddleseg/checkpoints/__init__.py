"""What is saved of a training, and how the training continues from it."""

from paddleseg.checkpoints.checkpoint import Checkpoints
from paddleseg.checkpoints.resume import find_checkpoint
from paddleseg.checkpoints.snapshot import Snapshot

__all__ = ["Checkpoints", "Snapshot", "find_checkpoint"]
