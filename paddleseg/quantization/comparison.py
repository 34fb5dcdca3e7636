"""INT8 models measured beside the float model: scores, masks, size and latency."""

import os

from paddleseg.cvlibs.class_names import class_names
from paddleseg.exporting.deploy_file import deploy_section
from paddleseg.quantization.images import batches
from paddleseg.quantization.latency import latencies
from paddleseg.quantization.result import Figures
from paddleseg.quantization.scoring import Scorer
from paddleseg.utils.cpu import integer_instructions, usable_cores


class Comparison:
    """Compares INT8 models with the float model, on the validation images.

    Args:
        cfg: the models' `Config`.
        dataset: the validation images, a `Dataset`.
        float_folder: of the float model, with `model.onnx` and `deploy.yaml`.
        scratch: a folder for masks.
        most: how many images at most, spread evenly over the data set. Default: all.

    Raises:
        UserError: as `Scorer`.
    """

    def __init__(self, cfg, dataset, float_folder, scratch, most=None):
        self._cfg, self._dataset, self._float_folder = cfg, dataset, float_folder
        self._scorer = Scorer(dataset, most)
        self._masks = [os.path.join(scratch, f"{kind}_masks_{most}") for kind in ("float", "int8")]
        self._before = self._scorer.score(float_folder, self._masks[0])
        self._after = None

    @property
    def images(self):
        """The number of images."""
        return len(self._scorer.indices)

    def drop(self, folder):
        """Return how much mIoU the INT8 model in a folder loses, 0 to 1; negative if it is better."""
        self._after = self._scorer.score(folder, self._masks[1])
        return self._before.miou - self._after.miou

    def facts(self, folder):
        """Return what a `Result` holds of the measurements, after `drop` of the same folder, as a dict."""
        paths = [os.path.join(one, "model.onnx") for one in (self._float_folder, folder)]
        shape = deploy_section(folder)["input_shape"]
        batch = next(batches(self._cfg, self._dataset, [0], shape))
        cores = usable_cores()
        on_one = latencies(paths, batch, 1)
        times = zip(on_one, on_one if cores == 1 else latencies(paths, batch, cores))
        figures = [
            Figures(scores.miou, scores.class_iou.tolist(), os.path.getsize(path), *of_model)
            for scores, path, of_model in zip((self._before, self._after), paths, times)
        ]
        return {
            "float": figures[0],
            "int8": figures[1],
            "agreement": self._scorer.agreement(*self._masks),
            "images": self.images,
            "input_shape": list(batch.shape),
            "cores": cores,
            "integer_instructions": integer_instructions(),
            "class_names": list(class_names(self._dataset)),
        }
