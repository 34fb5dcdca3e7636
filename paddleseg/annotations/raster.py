"""Shapes to pixels.

One rule decides for every shape: a pixel belongs to it if the pixel's centre does. Pixel (0, 0) covers the
square from (0, 0) to (1, 1), as in labelme and COCO, so its centre is (0.5, 0.5). A centre on a left or upper
edge is inside, one on a right or lower edge is outside. Therefore shapes that share an edge share no pixel,
and a rectangle with whole coordinates has exactly width x height pixels.
"""

from typing import NamedTuple

import numpy as np

from paddleseg.annotations.records import AnnotationError

TOLERANCE = 1.0  # pixels by which a point may lie outside of the image; tools round and clip differently


class Region(NamedTuple):
    """The pixels of a shape, cut out of the image.

    Attributes:
        top, left: the first row and column.
        mask: bool, h x w; empty if the shape lies between the centres of pixels.
    """

    top: int
    left: int
    mask: np.ndarray


class Polygon(NamedTuple):
    """A closed line; where it crosses itself, the even-odd rule holds.

    Attributes:
        points: float64, N x 2: x and y.
    """

    points: np.ndarray

    def region(self, height, width):
        """Return the `Region` in an image of that size."""
        # From here on, centres have whole coordinates.
        x, y = (self.points - 0.5).T
        (top, bottom), (left, right) = _span(y.min(), y.max(), height), _span(x.min(), x.max(), width)
        toggles = np.zeros((bottom - top, right - left + 1), np.uint8)
        rows, crossings = _crossings(x, y, top, bottom)
        columns = np.clip(np.ceil(crossings), left, right).astype(np.int64) - left
        places, counts = np.unique((rows - top) * toggles.shape[1] + columns, return_counts=True)
        toggles.flat[places[counts % 2 == 1]] = 1
        # Each crossing on the left of a centre changes between outside and inside.
        return Region(top, left, np.bitwise_xor.accumulate(toggles, axis=1)[:, :-1].astype(bool))


class Circle(NamedTuple):
    """A filled circle.

    Attributes:
        points: float64, 2 x 2: the centre, and a point on the line.
    """

    points: np.ndarray

    def region(self, height, width):
        """Return the `Region` in an image of that size."""
        (x, y), radius = self.points[0] - 0.5, np.hypot(*(self.points[1] - self.points[0]))
        (top, bottom), (left, right) = (
            _span(np.ceil(middle - radius), np.floor(middle + radius) + 1, limit)
            for middle, limit in ((y, height), (x, width))
        )
        rows, columns = np.ogrid[top:bottom, left:right]
        return Region(top, left, np.hypot(rows - y, columns - x) <= radius)


class Bitmap(NamedTuple):
    """Pixels at a place of the image.

    Attributes:
        top, left: where the first row and column of the pixels belong.
        mask: bool, h x w.
    """

    top: int
    left: int
    mask: np.ndarray

    @property
    def points(self):
        """The corners, float64, 2 x 2: x and y."""
        height, width = self.mask.shape
        corners = [[self.left, self.top], [self.left + width, self.top + height]]
        return np.array(corners, np.float64)

    def region(self, height, width):
        """Return the `Region` in an image of that size."""
        top, left = max(self.top, 0), max(self.left, 0)
        inside = self.mask[top - self.top : height - self.top, left - self.left : width - self.left]
        return Region(top, left, inside)


class Union(NamedTuple):
    """What belongs to at least one of several shapes.

    Attributes:
        parts: the shapes.
    """

    parts: tuple

    @property
    def points(self):
        """The points of all parts, float64, N x 2: x and y."""
        return np.concatenate([part.points for part in self.parts])

    def region(self, height, width):
        """Return the `Region` in an image of that size."""
        regions = [part.region(height, width) for part in self.parts]
        top, left = min(one.top for one in regions), min(one.left for one in regions)
        bottom, right = (max(one[axis] + one.mask.shape[axis] for one in regions) for axis in range(2))
        mask = np.zeros((bottom - top, right - left), bool)
        for one in regions:
            h, w = one.mask.shape
            mask[one.top - top :, one.left - left :][:h, :w] |= one.mask
        return Region(top, left, mask)


def rectangle(points):
    """Return the `Polygon` of a rectangle from two opposite corners, 2 x 2: x and y."""
    (x0, y0), (x1, y1) = points
    return Polygon(np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float64))


def check_inside(shape, height, width):
    """Refuse a shape that has a point outside of the image, by more than `TOLERANCE`.

    Raises:
        AnnotationError: the message says which point, and the size of the image.
    """
    points = shape.points
    outside = ((points < -TOLERANCE) | (points > np.array([width, height]) + TOLERANCE)).any(axis=1)
    if outside.any():
        x, y = points[outside][0]
        message = f"its point ({x:g}, {y:g}) lies outside of the image of {width} x {height}"
        raise AnnotationError("outlying shape", message)


def _span(low, high, limit):
    """Return the first and, exclusively, the last whole number from `low` to `high`, within 0..limit."""
    first = int(np.clip(np.ceil(low), 0, limit))
    return first, max(int(np.clip(np.ceil(high), 0, limit)), first)


def _crossings(x, y, top, bottom):
    """Return the rows, int64, in which a closed line crosses the rows' middle, and the x of each crossing.

    An edge crosses the rows from its upper end, inclusive, to its lower end, exclusive. A horizontal edge
    crosses none.
    """
    next_x, next_y = np.roll(x, -1), np.roll(y, -1)
    first, last = (
        np.clip(np.ceil(end(y, next_y)), top, bottom).astype(np.int64) for end in (np.minimum, np.maximum)
    )
    counts = last - first
    edges = np.repeat(np.arange(len(x)), counts)
    rows = np.arange(len(edges)) - np.repeat(np.cumsum(counts) - counts, counts) + first[edges]
    share = (rows - y[edges]) / (next_y - y)[edges]
    return rows, x[edges] + share * (next_x - x)[edges]
