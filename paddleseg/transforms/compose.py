"""The transforms of a data set, applied one after the other from files to the input of a model."""

import inspect
import itertools
import os

import cv2
import numpy as np

from paddleseg.errors import SampleError, UserError
from paddleseg.transforms import functional as F
from paddleseg.transforms.colour import Normalize
from paddleseg.transforms.common import declared
from paddleseg.transforms.reading import as_mask, read_image, read_mask


class Compose:
    """Read image and mask, apply the transforms, and return the image as C x H x W float32.

    Args:
        transforms: a list of callables `transform(data, rng)` or, as in PaddleSeg, `transform(data)`. A
            callable that has a parameter `rng` gets the `numpy.random.Generator`.
        to_rgb: turn images from the BGR order in which they are read, or passed, into RGB. Default True.
        img_channels: 3, or 1 for grey images. Default 3.

    Attributes:
        normalize: the last transform if it is a `Normalize`, else None.
        leading: the list of the leading transforms that change a sample in the same way each time.

    Raises:
        UserError: `transforms` is not a list of callables, or `img_channels` is neither 1 nor 3.
    """

    def __init__(self, transforms, to_rgb=True, img_channels=3):
        if not isinstance(transforms, (list, tuple)) or not all(map(callable, transforms)):
            raise UserError(f"transforms must be a list of transforms, not {transforms!r}")
        if img_channels not in (1, 3):
            raise UserError(f"img_channels must be 1 or 3, not {img_channels!r}")
        self.transforms = list(transforms)
        self.to_rgb = to_rgb
        self.img_channels = img_channels
        self._steps = [_Step(transform) for transform in self.transforms]
        self.normalize = self.transforms[-1] if transforms and type(transforms[-1]) is Normalize else None
        is_fixed = lambda transform: declared(transform, "fixed")  # noqa: E731
        self.leading = list(itertools.takewhile(is_fixed, self.transforms))

    def __call__(self, data, rng=None):
        """Transform one sample.

        Args:
            data: a dict with `img` (a path, or an array H x W x 3 in BGR order or H x W, 0..255) and
                perhaps `label` (a path, or integers H x W), `gt_fields` (the keys that are transformed
                together with the image) and `trans_info` (the changes of size so far).
            rng: a `numpy.random.Generator`; None seeds one from NumPy's global state.

        Returns:
            A new dict: `img` float32 C x H x W, `label` H x W of uint8 or int32 if there was one,
            `gt_fields`, and `trans_info`, a list of pairs such as `("resize", (h, w))`, the size before.

        Raises:
            UserError: a file cannot be read, or image and mask differ in size while `gt_fields` names
                `label`, at the start or after a transform.
        """
        rng = F.as_rng(rng)
        where = describe_files(data)
        return self.finish(self.apply_rest(self.apply_leading(self.read(data, where), where), where, rng))

    # The steps of a call are methods, since a cache stores a sample between two of them, and a device may do
    # the last one. `where` names the files in messages.

    def read(self, data, where):
        """Return a new dict with arrays in place of paths; an image of bytes stays uint8."""
        data = {**data, "gt_fields": list(data.get("gt_fields") or [])}
        data["trans_info"] = list(data.get("trans_info") or [])
        data["img"] = self._image(data["img"])
        if data.get("label") is not None:
            data["label"] = _mask(data["label"])
        _check_together(data, f"at the start ({where})", SampleError)
        return data

    def apply_leading(self, data, where):
        """Apply the transforms in `leading`."""
        return self._applied(data, where, 0, len(self.leading))

    def apply_rest(self, data, where, rng, start=None):
        """Apply the transforms from number `start` on, by default from the first after `leading`.

        `normalize` is left to `finish`.
        """
        start = len(self.leading) if start is None else start
        return self._applied(data, where, start, len(self._steps) - (self.normalize is not None), rng)

    def finish(self, data):
        """Apply `normalize`, and turn the image into C x H x W float32."""
        image = data["img"]
        if self.normalize is None:
            image = image if image.ndim == 3 else image[..., np.newaxis]
            data["img"] = np.ascontiguousarray(image.transpose(2, 0, 1), dtype=np.float32)
        else:
            self.normalize.check(image)
            data["img"] = F.normalized_planes(image, self.normalize.mean, self.normalize.std)
        return data

    def defer_normalize(self, data):
        """Do what `finish` does, except for `normalize`, which is left to the device.

        `img` stays H x W x C, uint8 or float32. A new key `normalize` holds the mean and the standard
        deviation, float32 2 x C.
        """
        image = data["img"]
        self.normalize.check(image)
        data["img"] = image if image.ndim == 3 else image[..., np.newaxis]
        statistics = (self.normalize.mean, self.normalize.std)
        data["normalize"] = np.stack([np.broadcast_to(values, self.img_channels) for values in statistics])
        return data

    def _applied(self, data, where, start, stop, rng=None):
        for step in self._steps[start:stop]:
            data = step(data, rng)
            if not isinstance(data, dict):
                raise UserError(f"the transform {step.name} must return the data dict, not {data!r:.60}")
            _check_together(data, f"after {step.name} ({where})")
        return data

    def _image(self, image):
        if isinstance(image, (str, os.PathLike)):
            image = read_image(image, self.img_channels)
        image = np.asarray(image)
        image = image if image.dtype == np.uint8 else image.astype(np.float32)
        channels = 1 if image.ndim == 2 else image.shape[-1]
        if image.ndim not in (2, 3) or channels != self.img_channels:
            raise UserError(f"img is {image.shape}, but img_channels is {self.img_channels}")
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB) if self.to_rgb and channels == 3 else image


class _Step:
    """A transform, called as `step(data, rng)`; one that does not take bytes gets writable float32 arrays."""

    def __init__(self, transform):
        self.name = getattr(transform, "__name__", type(transform).__name__)
        self._transform = transform
        self._takes_rng = "rng" in inspect.signature(transform).parameters
        self._takes_bytes = declared(transform, "takes_bytes")

    def __call__(self, data, rng):
        takes_bytes = self._takes_bytes
        if callable(takes_bytes):
            takes_bytes = takes_bytes(data["img"])
        if not takes_bytes:
            if data["img"].dtype == np.uint8:
                data["img"] = data["img"].astype(np.float32)
            for key in ("img", "label"):
                # A transform may change its arrays in place, but those of a cache are read-only.
                if data.get(key) is not None and not data[key].flags.writeable:
                    data[key] = data[key].copy()
        return self._transform(data, rng=rng) if self._takes_rng else self._transform(data)


def _mask(label):
    return read_mask(label) if isinstance(label, (str, os.PathLike)) else as_mask(np.asarray(label))


def describe_files(data):
    """Return how messages name a sample: by the paths in its dict, "arrays" without paths."""
    paths = [key for key in ("img", "label") if isinstance(data.get(key), (str, os.PathLike))]
    return ", ".join(f"{key} {os.fspath(data[key])!r}" for key in paths) or "arrays"


def _check_together(data, when, error=UserError):
    if "label" not in data["gt_fields"] or data.get("label") is None:
        return
    image, mask = data["img"].shape[:2], data["label"].shape[:2]
    if image != mask:
        raise error(
            f"image and mask differ in size {when}: "
            f"the image is {image[1]} x {image[0]}, the mask {mask[1]} x {mask[0]} (width x height)"
        )
