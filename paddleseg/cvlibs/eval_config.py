"""A config's `test_config` section: how an image is inferred, and what is measured beside the mIoU."""

import dataclasses
import math
from typing import Optional, Sequence, Union

from paddleseg.errors import UserError

# The keys that mean nothing without their switch.
SWITCHES = {
    "aug_eval": ("scales", "flip_horizontal", "flip_vertical"),
    "is_slide": ("crop_size", "stride"),
}


@dataclasses.dataclass(frozen=True)
class EvalConfig:
    """How an image is inferred and scored, by PaddleSeg's names; sizes are in pixels of the model's input.

    Args:
        aug_eval: infer each image at `scales` and flipped, and average the logits.
        scales: a factor on height and width, or several.
        flip_horizontal: infer the image with left and right exchanged, too.
        flip_vertical: with top and bottom exchanged; with both flips also with both exchanged.
        is_slide: infer in windows, averaging the logits where they overlap, instead of the whole image.
        crop_size: (width, height) of a window; where the image is smaller, the window is.
        stride: (width, height) from one window to the next, at most `crop_size`.
        auc_roc: measure the area under the ROC curve, too.
        boundary_iou: measure the boundary IoU, too.
        batch_size: images of equal size that are inferred together; 1, as in PaddleSeg, takes least memory.
            Null chooses by the first image, and 1 where that is large.

    Raises:
        UserError: a number is out of its range, or a key is given whose switch is off.
    """

    aug_eval: bool = False
    scales: Union[float, Sequence[float]] = 1.0
    flip_horizontal: bool = False
    flip_vertical: bool = False
    is_slide: bool = False
    crop_size: Optional[Sequence[int]] = None
    stride: Optional[Sequence[int]] = None
    auc_roc: bool = False
    boundary_iou: bool = False
    batch_size: Optional[int] = None

    def __post_init__(self):
        for switch, keys in SWITCHES.items():
            idle = [key for key in keys if getattr(self, key) != getattr(type(self), key)]
            if idle and not getattr(self, switch):
                raise UserError(f"{', '.join(idle)} would change nothing without {switch}; turn {switch} on")
        if not self.all_scales or not all(0 < scale < math.inf for scale in self.all_scales):
            raise UserError(f"scales must be one or more numbers above 0, not {self.scales!r}")
        if self.batch_size is not None and self.batch_size < 1:
            raise UserError(f"batch_size must be a whole number above 0, not {self.batch_size}")
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
