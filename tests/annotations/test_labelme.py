import base64

import numpy as np
import pytest
from annotation_files import HEIGHT, WIDTH, box, encoded, picture, shape, write_labelme

from paddleseg.errors import UserError

SIZE = (HEIGHT, WIDTH)


def test_several_shapes_of_a_class_and_a_hole(tmp_path, from_labelme, boxes):
    shapes = [
        box("cell", 2, 2, 12, 12),
        shape("_background_", [[4, 4], [8, 4], [8, 8], [4, 8]]),
        shape("cell", [[15, 3], [20, 3], [20, 9], [15, 9]]),
        box("core", 16, 4, 18, 6),
    ]
    write_labelme(tmp_path / "in/a.json", shapes)
    result = from_labelme()
    assert result.class_names == ["_background_", "cell", "core"]
    areas = [(1, 2, 2, 12, 12), (0, 4, 4, 8, 8), (1, 15, 3, 20, 9), (2, 16, 4, 18, 6)]
    np.testing.assert_array_equal(result.mask(), boxes(SIZE, *areas))


def test_shapes_of_other_types(tmp_path, from_labelme):
    bits = np.random.default_rng(1).random((4, 6)) < 0.5
    png = base64.b64encode(encoded(bits.astype(np.uint8) * 255)).decode()
    shapes = [
        shape("a", [[6, 6], [6, 10]], "circle"),
        shape("b", [[15, 2], [25, 2], [25, 6], [15, 6]], "oriented_rectangle"),
        shape("c", [[20, 10], [25, 13]], "mask", mask=png),
    ]
    write_labelme(tmp_path / "in/a.json", shapes)
    expected = np.zeros(SIZE, np.uint8)
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    expected[(x - 6) ** 2 + (y - 6) ** 2 <= 16] = 1
    expected[2:6, 15:25] = 2
    expected[10:14, 20:26][bits] = 3
    np.testing.assert_array_equal(from_labelme().mask(), expected)


@pytest.mark.parametrize("kind", ["line", "linestrip", "point", "points"])
def test_a_shape_without_area_is_named(tmp_path, from_labelme, kind):
    write_labelme(tmp_path / "in/a.json", [box("a", 1, 1, 2, 2), shape("a", [[1, 1], [5, 5]], kind)])
    with pytest.raises(UserError, match=rf"a.json: shapes\[1\]: a shape of type '{kind}' has no area"):
        from_labelme()


@pytest.mark.parametrize("embed", [False, True])
def test_embedded_and_separate_images_are_the_same(tmp_path, from_labelme, embed):
    write_labelme(tmp_path / "in/sub/a.json", [box("a", 1, 1, 5, 5)], embed=embed)
    result = from_labelme()
    assert result.pairs == [["images/sub/a.png", "annotations/sub/a.png"]]
    np.testing.assert_array_equal(result.images()["images/sub/a.png"], picture()[..., ::-1])


def test_images_in_another_folder(tmp_path, from_labelme):
    write_labelme(tmp_path / "in/a.json", [box("a", 1, 1, 5, 5)], image="..\\photos\\day 1\\b.png")
    (tmp_path / "photos/day 1").mkdir(parents=True)
    (tmp_path / "photos/day 1/b.png").write_bytes(encoded(picture()))
    with pytest.raises(UserError, match="lies outside of .*name the folder of the images by --image_dir"):
        from_labelme()
    result = from_labelme(image_dir=str(tmp_path / "photos"))
    assert result.pairs == [["images/day 1/b.png", "annotations/day 1/b.png"]]
    assert result.list("all.txt") == ["images/day 1/b.png\tannotations/day 1/b.png"]
    assert 'separator: "\\t"' in (result.folder / "dataset.yml").read_text("utf-8")


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"shapes": None}, "it has no 'shapes'"),
        ({"shapes": [{"points": []}]}, r"shapes\[0\]: it has no 'label'"),
        ({"shapes": [5]}, r"shapes\[0\]: it has no 'label'"),
        ({"imagePath": 5}, "its 'imagePath' must be text, not 5"),
        ({"imagePath": "gone.png"}, "there is no image '.*gone.png'"),
        ({"imagePath": "../../etc/passwd"}, "its image '../../etc/passwd' lies outside of"),
        ({"imagePath": "/etc/passwd"}, "its image '/etc/passwd' lies outside of"),
        ({"imagePath": "a\0.png"}, "there is no image"),
        ({"imagePath": "a.json"}, "cannot read image"),
        ({"imagePath": "gone.png", "imageData": "AAAA"}, "cannot read image 'a.png'"),
        (
            {"imageWidth": 20, "imageHeight": 30},
            r"for 20 x 30, and the image .* is 30 x 20 \(width x height\)",
        ),
        ({"shapes": [shape("a", [[1, 1], [2, 2]])]}, "its polygon has 2 points, but needs 3"),
        ({"shapes": [shape("a", [[1, 1], [2, 2]], "star")]}, "the type of shape 'star' is unknown"),
        ({"shapes": [shape("a", [[1, 1]], "mask", mask="!")]}, "its 'mask' is no PNG in base64"),
        ({"shapes": [box("a", 1, 1, 50, 5)]}, r"its point \(50, 1\) lies outside of the image of 30 x 20"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_place(tmp_path, from_labelme, keys, told):
    write_labelme(tmp_path / "in/a.json", **{"shapes": [], **keys})
    with pytest.raises(UserError, match=told) as refusal:
        from_labelme()
    assert str(refusal.value).startswith(str(tmp_path / "in/a.json"))
    assert not (tmp_path / "out").exists()


def test_images_without_a_file_are_counted(tmp_path, from_labelme):
    write_labelme(tmp_path / "in/a.json", [box("a", 1, 1, 5, 5)])
    (tmp_path / "in/b.png").write_bytes(encoded(picture(1)))
    assert "note: images without a JSON file, which are left out: 1" in from_labelme().lines
