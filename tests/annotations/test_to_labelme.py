import json

import numpy as np
import pytest
from annotation_files import encoded, picture
from PIL import Image, ImageFilter

from paddleseg.annotations.to_labelme import labelme_text, masks_to_labelme, polygons_of
from paddleseg.errors import UserError
from paddleseg.options import LabelmeOptions

NAMES = ["_background_", "a", "b"]


def blobs(seed, size=(40, 60)):
    """Return a mask of two classes and ignored pixels, with holes and islands within holes."""
    noise = np.random.default_rng(seed).integers(0, 255, size, np.uint8)
    smooth = np.array(Image.fromarray(noise).filter(ImageFilter.BoxBlur(2)), float)
    levels = np.digitize(smooth, np.quantile(smooth, [0.4, 0.65, 0.9]))
    return np.array([0, 1, 2, 255], np.uint8)[levels]


@pytest.mark.parametrize("seed", range(5))
def test_a_mask_comes_back_from_its_polygons(tmp_path, from_labelme, seed):
    mask = blobs(seed)
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.png").write_bytes(encoded(picture(size=mask.shape)))
    (tmp_path / "in/a.json").write_text(labelme_text("a.png", mask.shape, polygons_of(mask, NAMES)), "utf-8")
    (tmp_path / "names.txt").write_text("\n".join(NAMES))
    np.testing.assert_array_equal(from_labelme(class_list=str(tmp_path / "names.txt")).mask(), mask)


def test_a_hole_is_a_polygon_of_the_background():
    mask = np.zeros((20, 30), np.uint8)
    mask[2:12, 2:12] = 1
    mask[5:8, 5:8] = 0
    shapes = polygons_of(mask, NAMES)
    assert [shape["label"] for shape in shapes] == ["a", "_background_"]
    assert json.loads(labelme_text("a.png", (20, 30), shapes))["imageHeight"] == 20


def test_a_value_without_a_name_is_refused():
    with pytest.raises(UserError, match="the mask holds 2, and the last class that has a name is 1"):
        polygons_of(np.full((4, 4), 2, np.uint8), NAMES[:2])


@pytest.fixture
def data_set(tmp_path):
    for number in range(2):
        for folder, pixels in (("images", picture(number, (40, 60))), ("annotations", blobs(number))):
            (tmp_path / "set" / folder).mkdir(parents=True, exist_ok=True)
            (tmp_path / "set" / folder / f"{number}.png").write_bytes(encoded(pixels))
    return tmp_path / "set"


def test_a_data_set_comes_back_from_labelme(data_set, tmp_path, from_labelme):
    names = tmp_path / "names.txt"
    names.write_text("\n".join(NAMES))
    options = {"class_list": str(names)}
    masks_to_labelme(str(data_set), str(tmp_path / "in"), LabelmeOptions(**options))
    masks = from_labelme(**options).masks()
    assert set(masks) == {"images/images/0.png", "images/images/1.png"}
    for number in range(2):
        np.testing.assert_array_equal(masks[f"images/images/{number}.png"], blobs(number))


def test_a_mask_that_cannot_be_written_leaves_a_clear_line(data_set, tmp_path):
    (data_set / "class_names.txt").write_text("ground\n")
    with pytest.raises(
        UserError, match="annotations/0.png: the mask holds 1, and the last class that has a name is 0"
    ):
        masks_to_labelme(str(data_set), str(tmp_path / "in"), LabelmeOptions())


def test_an_image_outside_of_the_data_set_is_not_copied_beside_the_folder(data_set, tmp_path):
    (tmp_path / "a.png").write_bytes(encoded(picture(0, (40, 60))))
    (data_set / "list.txt").write_text("images/0.png annotations/0.png\n../a.png annotations/1.png\n")
    options = LabelmeOptions(file_list=str(data_set / "list.txt"))
    with pytest.raises(UserError, match="the image name '../a.png' leads out of the data set"):
        masks_to_labelme(str(data_set), str(tmp_path / "out/in"), options)
    assert not (tmp_path / "out").exists()


def test_a_class_0_that_is_no_background_comes_back(tmp_path, from_labelme):
    mask = blobs(3)
    for folder, pixels in (("images", picture(size=mask.shape)), ("annotations", mask)):
        (tmp_path / "set" / folder).mkdir(parents=True)
        (tmp_path / "set" / folder / "0.png").write_bytes(encoded(pixels))
    names = tmp_path / "names.txt"
    names.write_text("sky\nbuilding\npole\n")
    masks_to_labelme(str(tmp_path / "set"), str(tmp_path / "in"), LabelmeOptions(class_list=str(names)))
    np.testing.assert_array_equal(from_labelme(class_list=str(names), no_background=True).mask(), mask)
