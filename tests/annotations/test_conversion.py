import os

import numpy as np
import pytest
from annotation_files import HEIGHT, WIDTH, box, encoded, picture, write_labelme
from PIL import Image

from paddleseg.cvlibs import Config
from paddleseg.errors import UserError
from paddleseg.transforms.reading import read_image

SIZE = (HEIGHT, WIDTH)


@pytest.fixture
def names(tmp_path):
    """Write a list of classes; return its path."""

    def write(*lines):
        (tmp_path / "names.txt").write_text("\n".join(lines), "utf-8")
        return str(tmp_path / "names.txt")

    return write


def test_a_list_of_classes_sets_their_order(tmp_path, from_labelme, names, boxes):
    shapes = [box("b", 1, 1, 5, 5), box("a", 10, 1, 15, 5), box("__ignore__", 20, 1, 25, 5)]
    write_labelme(tmp_path / "in/a.json", shapes)
    result = from_labelme(class_list=names("__ignore__", "_background_", "a", "b"))
    assert result.class_names == ["_background_", "a", "b"]
    areas = [(2, 1, 1, 5, 5), (1, 10, 1, 15, 5), (255, 20, 1, 25, 5)]
    np.testing.assert_array_equal(result.mask(), boxes(SIZE, *areas))


def test_without_background_the_rest_is_ignored(tmp_path, from_labelme, boxes):
    write_labelme(tmp_path / "in/a.json", [box("sky", 1, 1, 5, 5), box("road", 10, 1, 15, 5)])
    result = from_labelme(no_background=True)
    assert result.class_names == ["sky", "road"]
    expected = boxes(SIZE, (0, 1, 1, 5, 5), (1, 10, 1, 15, 5), fill=255)
    np.testing.assert_array_equal(result.mask(), expected)


@pytest.mark.parametrize(("others", "value"), [("background", 0), ("ignore", 255)])
def test_unknown_labels_are_named_and_counted_or_get_a_value(
    tmp_path, from_labelme, names, boxes, others, value
):
    shapes = [box("disc", 1, 1, 5, 5), box("dics", 10, 1, 15, 5), box("note", 20, 1, 25, 5)]
    write_labelme(tmp_path / "in/a.json", shapes)
    classes = names("_background_", "disc")
    with pytest.raises(UserError, match=r"2 faults \(2 unknown labels\); correct the files") as refusal:
        from_labelme(class_list=classes)
    assert "shapes[1]: the label 'dics' is no class; did you mean 'disc'?\n" in str(refusal.value)
    result = from_labelme(class_list=classes, other_labels=others)
    areas = [(1, 1, 1, 5, 5), (value, 10, 1, 15, 5), (value, 20, 1, 25, 5)]
    np.testing.assert_array_equal(result.mask(), boxes(SIZE, *areas))


def test_bad_images_are_left_out_whole_if_that_is_wanted(tmp_path, from_labelme):
    folder = tmp_path / "in"
    write_labelme(folder / "good.json", [box("a", 1, 1, 5, 5)])
    write_labelme(folder / "far.json", [box("a", 1, 1, 5, 5), box("a", 90, 1, 95, 5)], seed=1)
    write_labelme(folder / "gone.json", [box("a", 1, 1, 5, 5)], image="gone.png")
    (folder / "cut.json").write_text('{"shapes": [')
    kinds = "1 damaged file, 1 missing image, 1 outlying shape"
    with pytest.raises(UserError, match=rf"3 faults \({kinds}\)"):
        from_labelme()
    assert sorted(os.listdir(tmp_path)) == ["in"]
    result = from_labelme(skip_bad=True)
    assert [image for image, _ in result.pairs] == ["images/good.png"]
    assert f"left out because of 3 faults ({kinds})" in result.lines


def test_where_nothing_is_left_nothing_is_written(tmp_path, from_labelme):
    write_labelme(tmp_path / "in/gone.json", [], image="gone.png")
    with pytest.raises(UserError, match="no image could be converted: .*gone.json: there is no image"):
        from_labelme(skip_bad=True)
    assert not (tmp_path / "out").exists()


def test_smaller_shapes_may_be_on_top_and_hidden_ones_are_noted(tmp_path, from_labelme, boxes):
    write_labelme(tmp_path / "in/a.json", [box("cup", 3, 3, 6, 6), box("disc", 1, 1, 9, 9)])
    result = from_labelme()
    assert result.class_names == ["_background_", "cup", "disc"]
    np.testing.assert_array_equal(result.mask(), boxes(SIZE, (2, 1, 1, 9, 9)))
    place = tmp_path / "in/a.json"
    assert f"note: shapes wholly under others: 1, the first is {place}: shapes[0]" in result.lines
    os.rename(tmp_path / "out", tmp_path / "before")
    mask = from_labelme(draw_order="area").mask()
    np.testing.assert_array_equal(mask, boxes(SIZE, (2, 1, 1, 9, 9), (1, 3, 3, 6, 6)))


@pytest.mark.parametrize("orientation", [2, 3, 6, 8])
def test_an_image_that_exif_data_turns_is_stored_upright(tmp_path, from_labelme, boxes, orientation):
    turned = (WIDTH, HEIGHT) if orientation > 4 else SIZE
    write_labelme(tmp_path / "in/a.json", [box("a", 1, 2, 5, 9)], image="a.jpg", size=turned)
    (tmp_path / "in/a.jpg").write_bytes(encoded(picture(), "JPEG", orientation))
    result = from_labelme()
    np.testing.assert_array_equal(result.mask(), boxes(turned, (1, 1, 2, 5, 9)))
    ((name, stored),) = result.images().items()
    assert name == "images/a.png"
    np.testing.assert_array_equal(stored, read_image(tmp_path / "in/a.jpg"))
    assert Image.open(result.folder / name).getexif() == {}


def test_an_image_annotated_as_it_is_stored_is_refused(tmp_path, from_labelme):
    write_labelme(tmp_path / "in/a.json", [], image="a.jpg")
    (tmp_path / "in/a.jpg").write_bytes(encoded(picture(), "JPEG", 6))
    with pytest.raises(UserError, match="it was annotated as it is stored, not upright"):
        from_labelme()


def test_sixteen_bits_and_names_in_chinese(tmp_path, from_labelme, boxes):
    write_labelme(tmp_path / "in/眼底 1.json", [box("视盘", 1, 1, 5, 5)], image="眼底 1.png")
    content = encoded(picture(depth=np.uint16))
    (tmp_path / "in/眼底 1.png").write_bytes(content)
    result = from_labelme()
    assert result.class_names == ["_background_", "视盘"]
    assert (result.folder / "images/眼底 1.png").read_bytes() == content
    np.testing.assert_array_equal(result.masks()["images/眼底 1.png"], boxes(SIZE, (1, 1, 1, 5, 5)))
    section = Config(str(result.folder / "dataset.yml"), sections=("train_dataset",)).dic["train_dataset"]
    assert section["class_names"] == ["_background_", "视盘"]


def test_two_images_of_one_name(tmp_path, from_labelme):
    for name in ("a.png", "a.jpg"):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_bytes(encoded(picture(), {"g": "PNG"}.get(name[-1])))
        write_labelme(tmp_path / f"in/{name}.json", [box("a", 1, 1, 5, 5)], image=name)
    assert from_labelme().pairs == [
        ["images/a.jpg", "annotations/a.png"],
        ["images/a.png", "annotations/a.png.png"],
    ]


def test_an_image_may_not_be_annotated_twice(tmp_path, from_labelme):
    write_labelme(tmp_path / "in/a.json", [])
    write_labelme(tmp_path / "in/b.json", [], image="a.png")
    with pytest.raises(UserError, match="b.json: another image is called 'a.png' as well"):
        from_labelme()


def test_links_in_place_of_copies(tmp_path, from_labelme):
    write_labelme(tmp_path / "in/a.json", [box("a", 1, 1, 5, 5)])
    result = from_labelme(link_images=True)
    assert os.readlink(result.folder / "images/a.png") == str(tmp_path / "in/a.png")
    assert set(result.images()) == {"images/a.png"}


def test_a_folder_that_holds_something_is_left_alone(tmp_path, from_labelme):
    write_labelme(tmp_path / "in/a.json", [])
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").write_text("")
    with pytest.raises(UserError, match="save_dir '.*out' is not empty; name a new folder"):
        from_labelme()
    assert os.listdir(tmp_path / "out") == ["mine.txt"]


def test_more_classes_than_a_mask_can_hold_are_refused(tmp_path, from_labelme):
    write_labelme(tmp_path / "in/a.json", [box(str(k), 1, 1, 5, 5) for k in range(255)])
    with pytest.raises(UserError, match="there are 256 classes; masks can hold 1 to 255"):
        from_labelme()
