"""Check an image and its mask, and check a data set by many such pairs."""

import contextlib
import hashlib
import os
from typing import NamedTuple, Optional

import numpy as np

from paddleseg.datasets.dataset import ignored_label, values_refusal
from paddleseg.errors import UserError, counted
from paddleseg.transforms import Compose
from paddleseg.transforms.decoding import Header, read_header
from paddleseg.transforms.reading import decode_image, decode_mask, doubts, read_bytes

# Integers that use less of their type's range have fewer bits, such as 12 or 14 of 16.
LEAST_SHARE = 0.26


class CheckedPair(NamedTuple):
    """The result for one image and its mask.

    Attributes:
        findings: what is wrong, a line each.
        doubts: {kind: line} of what may be wrong.
        digest: SHA-256 of the image's file; None if it cannot be read.
        span: (type, lowest value, highest value) of an image of other values than bytes, else None.
        pixels: int64; the number of pixels of each class, then of ignored pixels; None without a mask.
    """

    findings: list
    doubts: dict
    digest: Optional[bytes] = None
    span: Optional[tuple] = None
    pixels: Optional[np.ndarray] = None


def check_pair(dataset, pair):
    """Return the `CheckedPair` of [image path, mask path or None] of a data set."""
    image_path, mask_path = (path if path is None else os.fspath(path) for path in pair)
    findings, image, mask = [], None, None
    digest = span = pixels = size = None
    compose = getattr(dataset, "transforms", None)
    known = isinstance(compose, Compose)
    channels, img_range = (compose.img_channels, compose.img_range) if known else (3, None)
    try:
        content = read_bytes(image_path, "image")
        digest = hashlib.sha256(content).digest()
        pixels_of_image, header, span = decode_image(content, image_path, channels, img_range)
        size, image = pixels_of_image.shape[:2], (image_path, header)
    except UserError as error:
        findings.append(str(error))
    if mask_path is not None:
        try:
            array, header = _mask(dataset, mask_path)
            mask = (mask_path, header)
            findings += _sizes(size, image_path, array.shape, mask_path)
            wrong, pixels = _count(array, dataset.num_classes, ignored_label(dataset))
            findings += values_refusal(dataset, mask_path, wrong)
        except UserError as error:
            findings.append(str(error))
    found = doubts(image, mask, channels, size) if size else {}
    return CheckedPair(findings, found, digest, span, pixels)


def _mask(dataset, path):
    """Return the classes in a mask file, and its `Header`, upright if the data set has read it itself."""
    label = getattr(dataset, "read_label", os.fspath)(path)
    content = read_bytes(path, "mask")
    if isinstance(label, (str, os.PathLike)):
        return decode_mask(content if label == path else read_bytes(label, "mask"), path)
    return np.asarray(label), Header(lossy=read_header(content).lossy)


def _sizes(size, image_path, mask_size, mask_path):
    if size is None or mask_size == size:
        return []
    return [
        f"the image {image_path!r} is {size[1]} x {size[0]}, its mask {mask_path!r} "
        f"{mask_size[1]} x {mask_size[0]} (width x height)"
    ]


def _count(mask, num_classes, ignored):
    """Return the values that are no class, and the number of pixels of each class and of ignored pixels."""
    pixels, wrong = np.zeros(num_classes + 1, np.int64), []
    for value, count in zip(*(array.tolist() for array in np.unique(mask, return_counts=True))):
        if value == ignored:
            pixels[-1] += count
        elif 0 <= value < num_classes:
            pixels[value] += count
        else:
            wrong.append(value)
    return wrong, pixels


def doubts_of_set(dataset, checked):
    """Return lines about what may be wrong with a data set, from `CheckedPair`s of some of its samples."""
    img_range = getattr(getattr(dataset, "transforms", None), "img_range", None)
    lines = _doubts_of_values([pair.span for pair in checked if pair.span], img_range)
    pixels = [pair.pixels for pair in checked if pair.pixels is not None]
    ignored = ignored_label(dataset)
    total = np.sum(pixels, axis=0) if pixels else np.zeros(2, np.int64)
    is_class = 0 <= ignored < len(total) - 1
    if getattr(dataset, "num_classes", None) == 1:
        lines.append(
            "num_classes is 1, so every pixel is of that class, whatever the model answers; the background "
            "is a class too: use 2, with 0 for the background"
        )
    if total[-1] and not total[:-1].any():
        lines.append(
            f"{counted(len(pixels), 'mask')} hold {ignored} alone, which is ignored: "
            "no loss learns from them and no score counts them"
        )
    elif len(total) > 2 and not is_class and total[-1] and not total[1:-1].any():
        lines.append(
            f"{counted(len(pixels), 'mask')} hold class 0 and {ignored} alone, and {ignored} is ignored, "
            f"{total[-1] / total.sum():.1%} of the pixels; did you mean 1 by {ignored}?"
        )
    return lines


def doubts_of_images(paths, compose):
    """Return lines about what may be wrong with the values of images; those that cannot be read do not count.

    Args:
        paths: the images.
        compose: the `Compose` that reads them.
    """
    spans = []
    for path in paths:
        with contextlib.suppress(UserError):
            content = read_bytes(path, "image")
            spans.append(decode_image(content, path, compose.img_channels, compose.img_range)[2])
    return _doubts_of_values([span for span in spans if span], compose.img_range)


def _doubts_of_values(spans, img_range):
    lines = []
    if img_range is not None:
        outside = [low for _, low, high in spans if high <= img_range[0] or low >= img_range[1]]
        if outside:
            lines.append(
                f"{counted(len(outside), 'image')} of {len(spans)} have no value within img_range "
                f"{list(img_range)}, which makes them black or white"
            )
        return lines
    for name in sorted({name for name, _, _ in spans}):
        lows, highs = zip(*(span[1:] for span in spans if span[0] == name))
        low, high, whole = min(lows), max(highs), np.iinfo(name)
        if high - low < LEAST_SHARE * (int(whole.max) - int(whole.min)):
            lines.append(
                f"the values of {name} images lie in {low}..{high}, and those of the type, {whole.min}.."
                f"{whole.max}, become 0..255; did you mean `img_range: [{low}, {high}]`?"
            )
    return lines
