"""What an exported model scores on a data set, by the masks of `deploy/infer.py`."""

import os
import shutil
import subprocess
import sys
import tempfile
import zlib

import numpy as np
import paddle
from PIL import Image

from paddleseg.datasets.dataset import Dataset, ignored_label
from paddleseg.errors import UserError
from paddleseg.evaluation.metrics import compute_scores, confusion_matrix
from paddleseg.utils import shipped


class Scorer:
    """Scores exported models on one data set, with the masks that their users will get.

    Args:
        dataset: a `Dataset` in evaluation mode.
        most: how many of its images at most, spread evenly over it. Default: all.

    Attributes:
        indices: the numbers of these images.

    Raises:
        UserError: the data set is of a user's own class, whose images `deploy/infer.py` cannot find.
    """

    def __init__(self, dataset, most=None):
        if not isinstance(dataset, Dataset):
            raise UserError(
                f"val_dataset: deploy/infer.py, whose masks are scored, cannot read a "
                f"{type(dataset).__name__}; use a class that derives from paddleseg.datasets.Dataset"
            )
        self._dataset = dataset
        self._labels = {}
        count = len(dataset) if most is None else min(most, len(dataset))
        self.indices = np.linspace(0, len(dataset) - 1, count).round().astype(int).tolist()

    def score(self, folder, masks):
        """Return the `Scores` of an exported model.

        Args:
            folder: the model's, with its `deploy.yaml`.
            masks: a folder, which is made anew for the masks: `000012.png` for image 12 of the data set.

        Raises:
            UserError: `deploy/infer.py` fails, or skips an image.
        """
        shutil.rmtree(masks, ignore_errors=True)  # those of another model
        with tempfile.TemporaryDirectory() as scratch:
            # Links of these names, since the script names masks by images.
            names = [self._linked(index, scratch) for index in self.indices]
            with open(os.path.join(scratch, "images.txt"), "w", encoding="utf-8") as file:
                file.write("\n".join(names))
            problem = _infer(os.path.join(folder, "deploy.yaml"), file.name, masks)
            for index, name in zip(self.indices, names):
                problem = problem.replace(os.path.join(scratch, name), self._dataset.file_list[index][0])
        if problem:
            raise UserError(f"deploy/infer.py cannot make the masks of val_dataset: {problem}")
        return compute_scores(sum(self._confusion(index, masks) for index in self.indices))

    def agreement(self, masks, others):
        """Return the share of pixels, 0 to 1, in which the masks of two folders are equal."""
        equal = total = 0
        for index in self.indices:
            same = _mask(masks, index) == _mask(others, index)
            equal, total = equal + int(same.sum()), total + same.size
        return equal / total

    def _linked(self, index, folder):
        image = os.path.abspath(self._dataset.file_list[index][0])
        name = f"{index:06d}{os.path.splitext(image)[1]}"
        try:
            os.symlink(image, os.path.join(folder, name))
        except OSError:  # links are not allowed here
            shutil.copy(image, os.path.join(folder, name))
        return name

    def _confusion(self, index, masks):
        pair = _mask(masks, index), self._label(index)
        tensors = (paddle.to_tensor(array.astype(np.int64)) for array in pair)
        matrix = confusion_matrix(*tensors, self._dataset.num_classes, ignored_label(self._dataset))
        return matrix.numpy()

    def _label(self, index):
        """Return the truth of an image, which is read once and kept in a compressed form."""
        if index not in self._labels:
            label = self._dataset.sample(index)["label"]
            self._labels[index] = zlib.compress(label.tobytes(), level=1), label.dtype, label.shape
        content, dtype, shape = self._labels[index]
        return np.frombuffer(zlib.decompress(content), dtype).reshape(shape)


def _infer(config, images, masks):
    """Run `deploy/infer.py`; return what it says is wrong, "" if nothing is."""
    script = shipped.folder() / "deploy" / "infer.py"
    command = [sys.executable, str(script), "--config", config, "--image_path", images, "--save_dir", masks]
    done = subprocess.run([*command, "--warmup", "0"], capture_output=True, text=True, check=False)
    if not done.returncode:
        return ""
    lines = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
    return next((line for line in lines if line.startswith("skipped")), lines[-1]).removeprefix("error: ")


def _mask(folder, index):
    with Image.open(os.path.join(folder, f"{index:06d}.png")) as mask:
        return np.asarray(mask)
