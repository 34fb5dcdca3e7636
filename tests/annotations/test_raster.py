import numpy as np
import pytest
from PIL import Image, ImageDraw

from paddleseg.annotations.raster import Bitmap, Circle, Polygon, Union, check_inside, rectangle
from paddleseg.errors import UserError

HEIGHT, WIDTH = 23, 31


def drawn(shape, height=HEIGHT, width=WIDTH):
    mask = np.zeros((height, width), bool)
    top, left, inside = shape.region(height, width)
    mask[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
    return mask


def by_rays(points, height=HEIGHT, width=WIDTH):
    """Return the mask of a polygon: a ray to the left of a centre crosses the line an odd number of times."""
    mask = np.zeros((height, width), bool)
    ends = list(zip(points, [*points[1:], points[0]]))
    for row, column in np.ndindex(height, width):
        x, y = column + 0.5, row + 0.5
        crossed = [
            (x1 - x0) * (y - y0) / (y1 - y0) + x0
            for (x0, y0), (x1, y1) in ends
            if min(y0, y1) <= y < max(y0, y1)
        ]
        mask[row, column] = sum(at <= x for at in crossed) % 2 == 1
    return mask


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("corners", [3, 4, 9])
def test_a_polygon_has_the_pixels_whose_centres_are_inside(seed, corners):
    points = np.random.default_rng(seed).uniform(-5, 36, (corners, 2))
    np.testing.assert_array_equal(drawn(Polygon(points)), by_rays(points.tolist()))


@pytest.mark.parametrize("seed", range(4))
def test_a_polygon_is_pillows_but_for_pixels_on_the_line(seed):
    points = np.random.default_rng(seed).uniform(0, 23, (5, 2))
    picture = Image.new("1", (WIDTH, HEIGHT))
    # Pillow's whole coordinates are centres of pixels.
    ImageDraw.Draw(picture).polygon([tuple(p) for p in points - 0.5], fill=1)
    line = Image.new("1", (WIDTH, HEIGHT))
    ImageDraw.Draw(line).line([tuple(p) for p in (points - 0.5)[[0, 1, 2, 3, 4, 0]]], fill=1, width=3)
    differ = drawn(Polygon(points)) != np.array(picture)
    assert not (differ & ~np.array(line)).any()


@pytest.mark.parametrize("corners", [[(3, 2), (9, 7)], [(9, 7), (3, 2)], [(3, 7), (9, 2)]])
def test_a_rectangle_of_whole_coordinates_is_exact(corners):
    mask = drawn(rectangle(np.array(corners, float)))
    expected = np.zeros_like(mask)
    expected[2:7, 3:9] = True
    np.testing.assert_array_equal(mask, expected)


def test_neighbours_share_no_pixel_and_leave_none_out():
    rng = np.random.default_rng(1)
    middle, corners = rng.uniform(5, 15, 2), np.array([[0, 0], [31, 0], [31, 23], [0, 23]], float)
    parts = [drawn(Polygon(np.array([middle, corners[k - 1], corners[k]]))) for k in range(4)]
    np.testing.assert_array_equal(np.sum(parts, axis=0), np.ones((HEIGHT, WIDTH)))


def test_what_lies_outside_is_cut_off():
    mask = drawn(rectangle(np.array([[-4.0, -3], [6, 5]])))
    assert mask.sum() == 30
    assert mask[:5, :6].all()


@pytest.mark.parametrize("points", [[(2, 2.6), (9, 2.6), (9, 3.4), (2, 3.4)], [(1, 1), (5, 5), (9, 9)]])
def test_a_polygon_between_centres_has_no_pixel(points):
    assert not drawn(Polygon(np.array(points, float))).any()


def test_a_circle_has_the_pixels_whose_centres_are_inside():
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    circle = Circle(np.array([[29.2, 10.6], [29.2, 17.1]]))
    np.testing.assert_array_equal(drawn(circle), (x - 29.2) ** 2 + (y - 10.6) ** 2 <= 6.5**2)


def test_a_bitmap_is_cut_at_the_border():
    pixels = np.random.default_rng(0).random((4, 5)) < 0.5
    expected = np.zeros((HEIGHT, WIDTH), bool)
    expected[:3, 27:] = pixels[1:, :4]
    np.testing.assert_array_equal(drawn(Bitmap(-1, 27, pixels)), expected)


def test_a_union_has_the_pixels_of_all_parts():
    parts = (rectangle([[2, 3], [8, 9]]), rectangle([[5, 5], [20, 7]]))
    np.testing.assert_array_equal(drawn(Union(parts)), drawn(parts[0]) | drawn(parts[1]))


def test_a_point_outside_by_more_than_a_pixel_is_refused():
    check_inside(rectangle([[-0.9, 0], [31.9, 23.5]]), HEIGHT, WIDTH)
    with pytest.raises(UserError, match=r"its point \(40, 2\) lies outside of the image of 31 x 23"):
        check_inside(Polygon(np.array([[1.0, 2], [40, 2], [5, 5]])), HEIGHT, WIDTH)
