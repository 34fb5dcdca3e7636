"""The transforms of a data set, applied one after the other from files to the input of a model."""

import inspect
import itertools
import math
import os

import cv2
import numpy as np

from paddleseg.errors import SampleError, UserError
from paddleseg.transforms import functional as F
from paddleseg.transforms.colour import Normalize
from paddleseg.transforms.common import declared
from paddleseg.transforms.decoding import to_bytes_range
from paddleseg.transforms.reading import as_mask, decode_image, decode_mask, doubts, read_bytes
from paddleseg.utils.logger import logger

MOST_CHANNELS = 512  # that OpenCV resizes


class Compose:
    """Read image and mask, apply the transforms, and return the image as C x H x W float32.

    Args:
        transforms: a list of callables `transform(data, rng)` or, as in PaddleSeg, `transform(data)`. A
            callable that has a parameter `rng` gets the `numpy.random.Generator`.
        to_rgb: turn images from the BGR order in which they are read, or passed, into RGB. Default True.
        img_channels: 3, 1 for grey images, or the number of bands. Default 3.
        img_range: (low, high), the values of an image that become 0 and 255, so that all transforms see the
            same scale. Default: the range of a file's type, if that has 8 or 16 bits.
        ignore_index: what padded and rotated masks are filled with, unless a transform says another value.
            Default 255.

    Attributes:
        normalize: the last transform if it is a `Normalize`, else None.
        leading: the list of the leading transforms that change a sample in the same way each time.

    Raises:
        UserError: `transforms` is not a list of callables, or `img_channels` or `img_range` is no such value.
    """

    def __init__(self, transforms, to_rgb=True, img_channels=3, img_range=None, ignore_index=255):
        if not isinstance(transforms, (list, tuple)) or not all(map(callable, transforms)):
            raise UserError(f"transforms must be a list of transforms, not {transforms!r}")
        if not isinstance(img_channels, int) or not 1 <= img_channels <= MOST_CHANNELS:
            raise UserError(
                f"img_channels must be a whole number in 1..{MOST_CHANNELS}, not {img_channels!r}"
            )
        if img_range is not None and not _is_range(img_range):
            raise UserError(
                f"img_range must be [low, high], two numbers in ascending order, not {img_range!r}"
            )
        self.transforms = list(transforms)
        self.to_rgb = to_rgb
        self.img_channels = img_channels
        self.img_range = None if img_range is None else tuple(img_range)
        self.ignore_index = ignore_index
        self._noted = set()
        self._steps = [_Step(transform) for transform in self.transforms]
        self.normalize = self.transforms[-1] if transforms and type(transforms[-1]) is Normalize else None
        is_fixed = lambda transform: declared(transform, "fixed")  # noqa: E731
        self.leading = list(itertools.takewhile(is_fixed, self.transforms))

    def __call__(self, data, rng=None):
        """Transform one sample.

        Args:
            data: a dict with `img` (a path, or an array H x W x 3 in BGR order, H x W x N or H x W, whose
                values are 0..255 or, if there is one, in `img_range`) and perhaps `label` (a path, or
                integers H x W), `gt_fields` (the keys that are transformed together with the image) and
                `trans_info` (the changes of size so far).
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

    def note(self, sentences):
        """Log what may be wrong with the files of a sample, {kind: sentence}; each kind once."""
        for kind, sentence in sentences.items():
            if kind not in self._noted:
                self._noted.add(kind)
                logger.warning(f"{sentence} (others of this kind are not named)")

    # The steps of a call are methods, since a cache stores a sample between two of them, and a device may do
    # the last one. `where` names the files in messages.

    def read(self, data, where):
        """Return a new dict with arrays in place of paths; an image of bytes stays uint8.

        Until `finish`, it also has `ignore_index`, and `full_depth`: whether the image has more than 8 bits.
        What may be wrong with the files is logged once, each kind of doubt.
        """
        data = {**data, "gt_fields": list(data.get("gt_fields") or []), "ignore_index": self.ignore_index}
        data["trans_info"] = list(data.get("trans_info") or [])
        data["img"], image, data["full_depth"] = self._image(data["img"])
        mask = None
        if data.get("label") is not None:
            data["label"], mask = _mask(data["label"])
        _check_together(data, f"at the start ({where})", SampleError)
        if image is not None:
            self.note(doubts(image, mask, self.img_channels, data["img"].shape[:2]))
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
        image = _done(data)["img"]
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
        image = _done(data)["img"]
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
        """Return the image as an array, its path and `Header` or None, and whether it has over 8 bits."""
        file = None
        if isinstance(image, (str, os.PathLike)):
            path = os.fspath(image)
            content = read_bytes(path, "image")
            image, header, _ = decode_image(content, path, self.img_channels, self.img_range)
            file = (path, header)
        else:
            image = self._array(np.asarray(image))
        deep = image.dtype != np.uint8 and (file is not None or self.img_range is not None)
        image = image if image.dtype == np.uint8 else image.astype(np.float32, copy=False)
        channels = 1 if image.ndim == 2 else image.shape[-1]
        if image.ndim not in (2, 3) or channels != self.img_channels:
            raise UserError(f"img is {image.shape}, but img_channels is {self.img_channels}")
        image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB) if self.to_rgb and channels == 3 else image
        return image, file, deep

    def _array(self, image):
        """Return an array that is passed instead of a file, on the scale 0..255."""
        if self.img_range is not None:
            try:
                return to_bytes_range(image, self.img_range)
            except ValueError as error:
                raise UserError(f"img: {error}") from None
        if image.dtype.kind in "iu" and image.size and not 0 <= image.min() <= image.max() <= 255:
            raise UserError(
                f"img holds {image.min()}..{image.max()}, but without img_range values are 0..255; state "
                "`img_range: [low, high]` of the data set"
            )
        return image


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
    """Return a mask as an array, and its path and `Header`, or None if it is no file."""
    if not isinstance(label, (str, os.PathLike)):
        return as_mask(np.asarray(label)), None
    path = os.fspath(label)
    mask, header = decode_mask(read_bytes(path, "mask"), path)
    return mask, (path, header)


def _is_range(value):
    numbers = isinstance(value, (list, tuple)) and len(value) == 2 and all(map(_is_number, value))
    return numbers and value[0] < value[1]


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _done(data):
    """Remove from a dict what only transforms need."""
    for key in ("ignore_index", "full_depth"):
        data.pop(key, None)
    return data


def describe_files(data):
    """Return how messages name a sample: by the paths in its dict, "arrays" without paths."""
    paths = [key for key in ("img", "label") if isinstance(data.get(key), (str, os.PathLike))]
    return ", ".join(f"{key} {os.fspath(data[key])!r}" for key in paths) or "arrays"


def _check_together(data, when, error=UserError):
    if data.get("label") is None:
        return
    image, mask = data["img"].shape[:2], data["label"].shape[:2]
    # An evaluation may have masks of another size, but a mask on its side is an error anywhere.
    on_its_side = error is SampleError and image == mask[::-1]
    if image != mask and ("label" in data["gt_fields"] or on_its_side):
        hint = ": one of them lies on its side, perhaps by its EXIF orientation" if on_its_side else ""
        raise error(
            f"image and mask differ in size {when}: "
            f"the image is {image[1]} x {image[0]}, the mask {mask[1]} x {mask[0]} (width x height){hint}"
        )
