"""Data sets, and how a training draws batches from them."""

from paddleseg.datasets.ade20k import ADE20K
from paddleseg.datasets.camvid import CamVid
from paddleseg.datasets.cityscapes import Cityscapes
from paddleseg.datasets.dataset import Dataset
from paddleseg.datasets.optic_disc_seg import OpticDiscSeg
from paddleseg.datasets.pascal_voc import PascalVOC
from paddleseg.datasets.sampling import EpochBatches, SeededSamples, sample_rng
from paddleseg.datasets.unlabeled_images import UnlabeledImages

__all__ = [
    "ADE20K",
    "CamVid",
    "Cityscapes",
    "Dataset",
    "EpochBatches",
    "OpticDiscSeg",
    "PascalVOC",
    "SeededSamples",
    "UnlabeledImages",
    "sample_rng",
]
