"""Data sets, and the order and randomness in which a training reads them."""

from paddleseg.datasets.dataset import Dataset
from paddleseg.datasets.optic_disc_seg import OpticDiscSeg
from paddleseg.datasets.sampling import EpochBatches, SeededSamples, sample_rng
from paddleseg.datasets.unlabeled_images import UnlabeledImages

__all__ = ["Dataset", "EpochBatches", "OpticDiscSeg", "SeededSamples", "UnlabeledImages", "sample_rng"]
