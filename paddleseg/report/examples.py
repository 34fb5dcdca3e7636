"""The validation images on which a distilled student gained or lost most, compared with a plain one."""

import dataclasses

import numpy as np
import paddle

from paddleseg.datasets.dataset import ignored_label
from paddleseg.datasets.sampling import SeededSamples
from paddleseg.evaluation.metrics import compute_scores, confusion_matrix
from paddleseg.evaluation.photographs import predict_sample
from paddleseg.utils.progress_bar import bar


@dataclasses.dataclass(frozen=True)
class Example:
    """A validation image and the mIoU of two students on it.

    Attributes:
        index: of the sample.
        plain, distilled: the `image_miou` of each student.
    """

    index: int
    plain: float
    distilled: float

    @property
    def gain(self):
        """What distillation gained on the image."""
        return self.distilled - self.plain


def image_miou(mask, truth, num_classes, ignore_index=255):
    """Return the mean IoU over the classes in an image's truth; None if all of the truth is ignored.

    Args:
        mask: the predicted classes, an array of whole numbers.
        truth: the true classes, of the same shape.
        num_classes: number of classes.
        ignore_index: the truth of pixels that are not counted.
    """
    pred, label = (paddle.to_tensor(np.asarray(a, np.int64)) for a in (mask, truth))
    matrix = confusion_matrix(pred, label, num_classes, ignore_index).numpy()
    present = matrix.sum(axis=1) > 0
    return float(compute_scores(matrix).class_iou[present].mean()) if present.any() else None


def compare(plain, distilled, dataset, num_classes, indices, config):
    """Return the `Example` of each image that has a pixel to count.

    Args:
        plain, distilled: models in eval mode.
        dataset: in evaluation mode.
        num_classes: number of classes.
        indices: of the images.
        config: an `EvalConfig`, how the images are inferred.
    """
    samples = SeededSamples(dataset, seed=0, keep=("trans_info",))
    ignore_index = ignored_label(dataset)
    examples = []
    for index in bar(indices, label="comparing"):
        sample = samples[0, index]
        mious = [
            image_miou(predict_sample(model, sample, config), sample["label"], num_classes, ignore_index)
            for model in (plain, distilled)
        ]
        if None not in mious:
            examples.append(Example(int(index), *mious))
    return examples


def extremes(examples, count):
    """Return the examples that gained most and those that lost most, together at most `count`.

    Each list begins with the largest change. Half of `count` is for each list, an odd one more for the gains;
    what one list does not need goes to the other.
    """
    gained = sorted((e for e in examples if e.gain > 0), key=lambda e: (-e.gain, e.index))
    lost = sorted((e for e in examples if e.gain < 0), key=lambda e: (e.gain, e.index))
    for_lost = min(len(lost), max(count // 2, count - len(gained)))
    return gained[: count - for_lost], lost[:for_lost]
