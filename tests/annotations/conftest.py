import numpy as np
import pytest

from paddleseg.annotations import convert_coco, convert_labelme
from paddleseg.options import ConversionOptions
from paddleseg.transforms.reading import read_image, read_mask


class Result:
    """A data set that a conversion has written, and what it said."""

    def __init__(self, folder, lines):
        self.folder, self.lines = folder, lines
        self.class_names = (folder / "class_names.txt").read_text("utf-8").splitlines()
        self.pairs = [line.split("\t" if "\t" in line else " ") for line in self.list("all.txt")]

    def list(self, name):
        return (self.folder / name).read_text("utf-8").splitlines()

    def masks(self):
        """Return {name of the image: mask}."""
        return {image: read_mask(self.folder / mask) for image, mask in self.pairs}

    def mask(self):
        """Return the only mask."""
        (mask,) = self.masks().values()
        return mask

    def images(self):
        return {image: read_image(self.folder / image) for image, _ in self.pairs}


@pytest.fixture
def from_labelme(tmp_path):
    """Convert files of labelme below `tmp_path`/in with some options."""

    def run(**options):
        folder = tmp_path / "out"
        lines = convert_labelme([str(tmp_path / "in")], str(folder), ConversionOptions(**options))
        return Result(folder, lines)

    return run


@pytest.fixture
def from_coco(tmp_path):
    """Convert `tmp_path`/in.json, of COCO, with some options."""

    def run(**options):
        folder = tmp_path / "out"
        return Result(
            folder, convert_coco(str(tmp_path / "in.json"), str(folder), ConversionOptions(**options))
        )

    return run


@pytest.fixture
def boxes():
    """Return `boxes(size, (value, x0, y0, x1, y1), ...)`: a mask with rectangles, later ones on top."""

    def of(size, *rectangles, fill=0):
        mask = np.full(size, fill, np.uint8)
        for value, x0, y0, x1, y1 in rectangles:
            mask[y0:y1, x0:x1] = value
        return mask

    return of
