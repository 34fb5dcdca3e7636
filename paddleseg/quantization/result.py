"""The figures of an INT8 model beside those of the float model: as a table, and as `quantization.json`."""

import dataclasses
import os
from typing import Dict, List, Optional, Sequence

from paddleseg.exporting.deploy_file import RESULT_FILE
from paddleseg.utils.json_record import read_record, write_record
from paddleseg.utils.text_table import aligned


@dataclasses.dataclass(frozen=True)
class Figures:
    """What was measured of an exported model.

    Attributes:
        miou: 0 to 1, on the validation images, by the masks of `deploy/infer.py`.
        class_iou: of each class, 0 to 1.
        size: of the ONNX file, in bytes.
        latency_one_core, latency_all_cores: median time of the model alone for one image, in milliseconds.
    """

    miou: float
    class_iou: Sequence[float]
    size: int
    latency_one_core: float
    latency_all_cores: float


@dataclasses.dataclass(frozen=True)
class Result:
    """What a quantisation did, and what it kept; `quantization.json` holds these keys.

    Attributes:
        config: the path of the config.
        weights: the path of the float weights.
        method: "minmax", "entropy" or "percentile" for calibrated ranges, "qat" for trained ones.
        calibration_images: how many images the ranges are from.
        seed: the seed that chose these images.
        float: the `Figures` of the float ONNX file, which is not stored.
        int8: the `Figures` of the INT8 file, `model.onnx` in the same folder.
        agreement: the share of pixels, 0 to 1, in which the masks of both are equal.
        images: how many validation images both were evaluated on.
        input_shape: [N, C, H, W] of the image whose latency was measured.
        cores: the cores of `latency_all_cores`.
        integer_instructions: as `utils.cpu.integer_instructions` returns them; null if unknown.
        class_names: the names of the classes; empty if the data set has none.
        float_layers: the layers that stay in float, {group: [layer, ...]}; {} if all are in integers.
        sensitivity: what the mIoU loses if one group alone is in integers, {group: loss}; {} if it was not
            measured.
    """

    config: str
    weights: Optional[str]
    method: str
    calibration_images: int
    seed: Optional[int]
    float: Figures
    int8: Figures
    agreement: float
    images: int
    input_shape: Sequence[int]
    cores: int
    integer_instructions: Optional[Sequence[str]]
    class_names: Sequence[str] = ()
    float_layers: Dict[str, List[str]] = dataclasses.field(default_factory=dict)
    sensitivity: Dict[str, float] = dataclasses.field(default_factory=dict)

    @property
    def drop(self):
        """What the mIoU lost, 0 to 1; negative if INT8 is better."""
        return self.float.miou - self.int8.miou

    def table(self):
        """Return the figures of both models side by side, as lines of text."""
        before, after = self.float, self.int8
        names = self.class_names or [f"class {number}" for number in range(len(before.class_iou))]
        scores = [("mIoU", before.miou, after.miou)]
        scores += zip((f"IoU of {name}" for name in names), before.class_iou, after.class_iou)
        costs = [
            ("size, MB", before.size / 1e6, after.size / 1e6),
            ("latency on 1 core, ms", before.latency_one_core, after.latency_one_core),
        ]
        if self.cores > 1:
            name = f"latency on {self.cores} cores, ms"
            costs.append((name, before.latency_all_cores, after.latency_all_cores))
        rows = [("", "float", "INT8", "")]
        rows += [(name, f"{a:.4f}", f"{b:.4f}", f"{b - a:+.4f}") for name, a, b in scores]
        rows += [(name, f"{a:.1f}", f"{b:.1f}", f"x {b / a:.2f}") for name, a, b in costs]
        rows.append(("pixels with the same class", "", "", f"{self.agreement:.2%}"))
        return aligned(rows)

    def write(self, folder):
        """Write `quantization.json` to a folder.

        Raises:
            UserError: the file cannot be written.
        """
        write_record(os.path.join(folder, RESULT_FILE), self)


def read_result(folder):
    """Return the `Result` in a folder.

    Raises:
        UserError: there is none, or it is damaged.
    """
    return read_record(os.path.join(folder, RESULT_FILE), _result, "the result file of a quantisation")


def _result(values):
    return Result(**{**values, **{key: Figures(**values[key]) for key in ("float", "int8")}})
