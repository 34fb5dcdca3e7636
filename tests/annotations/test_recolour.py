import numpy as np
import pytest
from annotation_files import encoded
from PIL import Image

from paddleseg.annotations import convert_masks
from paddleseg.errors import UserError
from paddleseg.options import MaskOptions
from paddleseg.transforms.reading import read_mask
from paddleseg.utils.pictures import VOC

CLASSES = np.resize(np.array([0, 1, 2, 255, 7], np.uint8), (6, 8))


@pytest.fixture
def convert(tmp_path):
    """Convert an image that is given as pixels or as a Pillow image; return the path of the new mask."""

    def convert(image, **options):
        image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
        (tmp_path / "in/sub").mkdir(parents=True)
        image.save(tmp_path / "in/sub/a.png")
        convert_masks(str(tmp_path / "in"), str(tmp_path / "out"), MaskOptions(**options))
        return tmp_path / "out/sub/a.png"

    return convert


def with_palette(mask):
    image = Image.fromarray(mask)
    image.putpalette(VOC.tobytes())
    return image


def test_grey_becomes_a_palette_in_vocs_colours(convert):
    path = convert(CLASSES)
    np.testing.assert_array_equal(read_mask(path), CLASSES)
    np.testing.assert_array_equal(np.array(Image.open(path).convert("RGB")), VOC[CLASSES])


def test_a_palette_becomes_grey(convert):
    path = convert(with_palette(CLASSES), to="grey")
    assert Image.open(path).mode == "L"
    np.testing.assert_array_equal(read_mask(path), CLASSES)


def test_vocs_colours_become_classes(convert):
    np.testing.assert_array_equal(read_mask(convert(VOC[CLASSES])), CLASSES)


def test_colours_of_a_list(convert, tmp_path):
    (tmp_path / "colors.txt").write_text("ground:0,0,0\nleaf:10, 20,30:parts:\n")
    pixels = np.array([[0, 0, 0], [10, 20, 30]], np.uint8)[CLASSES % 2]
    np.testing.assert_array_equal(
        read_mask(convert(pixels, colors=str(tmp_path / "colors.txt"))), CLASSES % 2
    )


@pytest.mark.parametrize(
    ("values", "found", "classes"),
    [((0, 255), [0, 255], [0, 1]), ((10, 20), [20, 10], [1, 0]), ((0, 128), [0, 128, 255], [0, 1, 255])],
)
def test_other_grey_values_become_classes(convert, values, found, classes):
    pick = np.resize(np.arange(len(found)), (6, 8))
    path = convert(np.array(found, np.uint8)[pick], values=values)
    np.testing.assert_array_equal(read_mask(path), np.array(classes)[pick])


def test_values_and_colours_of_no_class_are_refused(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.png").write_bytes(encoded(np.full((4, 4), 77, np.uint8)))
    (tmp_path / "in/b.png").write_bytes(encoded(np.full((4, 4, 3), 77, np.uint8)))
    (tmp_path / "in/c.png").write_bytes(encoded(np.zeros((4, 4), np.uint8)))
    (tmp_path / "in/d.png").write_bytes(b"no image")
    sources, out = [str(tmp_path / f"in/{name}.png") for name in "abcd"], tmp_path / "out"
    for source, told in zip(
        sources,
        ["it holds values of no class: 77", "1 colour of no class, the first is red 77", None, "no image"],
    ):
        if told:
            with pytest.raises(UserError, match=told):
                convert_masks([source], str(out), MaskOptions(values=(0, 255)))
    with pytest.raises(UserError, match=r"3 faults \(2 unknown labels, 1 unusable mask\)"):
        convert_masks(sources, str(out), MaskOptions(values=(0, 255)))
    assert not out.exists()
    lines = convert_masks(sources, str(out), MaskOptions(values=(0, 255), skip_bad=True))
    assert lines[0] == f"{out}: 1 mask"
    assert [path.name for path in out.iterdir()] == ["c.png"]


def test_a_mask_that_is_there_is_not_replaced(tmp_path):
    (tmp_path / "a.png").write_bytes(encoded(np.zeros((4, 4), np.uint8)))
    with pytest.raises(UserError, match="a.png is there already; name another save_dir"):
        convert_masks(str(tmp_path / "a.png"), str(tmp_path), MaskOptions())


@pytest.mark.parametrize("text", ["ground 0 0 0", "a:0,0,999", "a:0,0,0\nb:0,0,0", ""])
def test_a_list_of_colours_in_another_form_is_refused(convert, tmp_path, text):
    (tmp_path / "colors.txt").write_text(text)
    with pytest.raises(UserError, match="colors.txt: "):
        convert(CLASSES, colors=str(tmp_path / "colors.txt"))


def test_a_grey_bmp_holds_values_and_no_colours(tmp_path):
    (tmp_path / "in").mkdir()
    Image.fromarray(np.uint8(CLASSES % 2 * 255)).save(tmp_path / "in/a.bmp")
    convert_masks(str(tmp_path / "in"), str(tmp_path / "out"), MaskOptions(values=(0, 255)))
    np.testing.assert_array_equal(read_mask(tmp_path / "out/a.png"), CLASSES % 2)


def test_a_png_of_colours_that_is_cut_off_is_refused(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.png").write_bytes(encoded(VOC[CLASSES])[:33])
    with pytest.raises(UserError, match="a.png.* it is no image, such as a PNG, or is damaged"):
        convert_masks(str(tmp_path / "in"), str(tmp_path / "out"), MaskOptions())
