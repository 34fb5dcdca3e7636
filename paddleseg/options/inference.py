"""How images are inferred and scored, and the settings of evaluation and prediction."""

import dataclasses
import math
from typing import Optional, Sequence, Union

from paddleseg.errors import UserError
from paddleseg.options.base import DeviceOptions, Options, RunOptions, option

# Keys that have no effect without their switch.
SWITCHES = {
    "aug_eval": ("scales", "flip_horizontal", "flip_vertical"),
    "is_slide": ("crop_size", "stride"),
}
# What a flag of the same name may change: of a prediction, and of an evaluation.
INFERENCE_KEYS = ("aug_eval", *SWITCHES["aug_eval"], "is_slide", *SWITCHES["is_slide"])
EVALUATION_KEYS = (*INFERENCE_KEYS, "auc_roc", "boundary_iou")


@dataclasses.dataclass(frozen=True)
class EvalConfig(Options):
    """A config's `test_config` section, by PaddleSeg's names; sizes are in pixels of the model's input.

    Raises:
        UserError: a number is out of its range, or a key is given whose switch is off.
    """

    aug_eval: bool = option(False, "infer each image at `scales` and flipped, and average the logits")
    scales: Union[float, Sequence[float]] = option(
        1.0, "with aug_eval: a factor on height and width, or several", nargs="+", metavar="FACTOR"
    )
    flip_horizontal: bool = option(False, "with aug_eval: also infer the image with left and right exchanged")
    flip_vertical: bool = option(
        False,
        "with aug_eval: also infer the image with top and bottom exchanged, and, with both flips, with both "
        "exchanged",
    )
    is_slide: bool = option(
        False, "infer in windows instead of the whole image, and average the logits where windows overlap"
    )
    crop_size: Optional[Sequence[int]] = option(
        None,
        "with is_slide: width and height of a window; where the image is smaller, the window is",
        at_least=1,
        nargs=2,
        metavar=("W", "H"),
    )
    stride: Optional[Sequence[int]] = option(
        None,
        "with is_slide: width and height from one window to the next, at most crop_size",
        at_least=1,
        nargs=2,
        metavar=("W", "H"),
    )
    auc_roc: bool = option(
        False, "also measure the area under the ROC curve", nargs="?", const=True, metavar="True"
    )
    boundary_iou: bool = option(False, "also measure the boundary IoU")
    batch_size: Optional[int] = option(
        None,
        "images of equal size that are inferred together; 1, as in PaddleSeg, takes least memory. Null "
        "chooses by the first image, and 1 where that image is large",
        at_least=1,
    )

    def __post_init__(self):
        super().__post_init__()
        for switch, keys in SWITCHES.items():
            idle = [key for key in keys if getattr(self, key) != getattr(type(self), key)]
            if idle and not getattr(self, switch):
                raise UserError(f"{', '.join(idle)} would have no effect without {switch}; turn {switch} on")
        if not self.all_scales or not all(0 < scale < math.inf for scale in self.all_scales):
            raise UserError(f"scales must be one or more numbers above 0, not {self.scales!r}")
        if self.is_slide:
            self._check_windows()

    def _check_windows(self):
        for key in SWITCHES["is_slide"]:
            value = getattr(self, key)
            if value is None:
                raise UserError(f"is_slide needs {key}, its width and height in pixels")
            if len(value) != 2 or min(value) < 1:
                raise UserError(f"{key} must be a width and a height above 0, not {list(value)}")
        if any(step > side for step, side in zip(self.stride, self.crop_size)):
            raise UserError(
                f"stride {list(self.stride)} is larger than crop_size {list(self.crop_size)} (width and "
                f"height), which would leave pixels between the windows without a class"
            )

    @property
    def all_scales(self):
        """The scales as a list."""
        return [self.scales] if isinstance(self.scales, (int, float)) else list(self.scales)


def with_flags(section, flags):
    """Return a `test_config` section with the command's flags in it.

    A flag wins over its key. A switch among the flags (`--aug_eval`, `--is_slide`) begins anew, as in
    PaddleSeg: of the keys that belong to it, those of the section no longer count.

    Args:
        section: the config's dict, or None.
        flags: dict from key to value, None where a flag was not given.
    """
    given = {key: value for key, value in flags.items() if value is not None}
    dropped = {key for switch in given for key in SWITCHES.get(switch, ())}
    return {**{key: value for key, value in (section or {}).items() if key not in dropped}, **given}


@dataclasses.dataclass(frozen=True)
class EvaluateOptions(RunOptions):
    """How to evaluate a trained model on the config's `val_dataset`."""

    model_path: Optional[str] = option(None, "weights", default_text="the config's model.pretrained")


@dataclasses.dataclass(frozen=True)
class PredictOptions(DeviceOptions):
    """Which photographs to predict, and what to write of them."""

    image_path: Sequence[str] = option(
        (),
        "images, folders (masks that lie beside photographs are left out), or .txt lists of one 'image' or "
        "'image mask' a line",
    )
    model_path: Optional[Sequence[str]] = option(
        None, "weights, one for each config", default_text="the configs' model.pretrained"
    )
    save_dir: str = option("./output/result", "where pictures go")
    save_probabilities: bool = option(False, "also write the probability of each class (.npz)")
    custom_color: Optional[Sequence[int]] = option(
        None,
        "red, green and blue of the first classes, one after the other; black is not shown on overlays",
        at_least=0,
        at_most=255,
        metavar="N",
        default_text="of two classes the second is green; more are PASCAL VOC's",
    )
