import shutil

import numpy as np
import pytest
from annotation_files import encoded, picture
from dataset_trees import HEIGHT, WIDTH, pascal_voc, write_image, write_list
from PIL import Image

from paddleseg.annotations import convert_voc, summary
from paddleseg.datasets import PascalVOC
from paddleseg.errors import UserError
from paddleseg.options import VocOptions
from paddleseg.transforms.reading import read_mask


@pytest.fixture
def devkit(tmp_path):
    """Images a and b of train, c of val, and d and e of the augmented list, which names c too."""
    home = pascal_voc(tmp_path / "in") / "VOC2012"
    write_list(home / "ImageSets/Segmentation/aug.txt", ["c", "d", "e"])
    return home


def convert(home, out, **options):
    """Return ({list: names of images}, lines) of a converted set."""
    lines = convert_voc(str(home), str(out), VocOptions(**options))
    lists = {
        path.stem: path.read_text().splitlines() for path in out.glob("*.txt") if path.stem != "class_names"
    }
    return {name: [line.split()[0][7:-4] for line in of] for name, of in lists.items()}, lines


@pytest.mark.parametrize("inner", [".", ".."])
def test_palette_masks_and_the_augmented_list(devkit, tmp_path, inner):
    lists, lines = convert(devkit / inner, tmp_path / "out")
    assert lists == {"train": ["a", "b"], "val": ["c"], "trainaug": ["a", "b", "d", "e"]}
    assert "note: images of aug.txt that are in val.txt, and left out of trainaug.txt: 1" in lines
    for name in "abcde":
        mask = tmp_path / f"out/annotations/{name}.png"
        assert Image.open(mask).mode == "L"
        expected = np.resize(np.array([0, 20, 255], np.uint8), (HEIGHT, WIDTH))
        np.testing.assert_array_equal(read_mask(mask), expected)
    said = summary(str(tmp_path / "out"))
    assert "0 findings" in said
    assert f"  train_path: {tmp_path}/out/trainaug.txt" in said[-1].splitlines()
    assert (tmp_path / "out/class_names.txt").read_text().split("\n")[:-1] == list(PascalVOC.CLASS_NAMES)


def test_masks_of_colours_with_cvats_list(tmp_path):
    home = tmp_path / "cvat"
    write_image(home / "JPEGImages/a.jpg")
    write_list(home / "ImageSets/Segmentation/default.txt", ["a"])
    write_list(
        home / "labelmap.txt", ["# label:color_rgb:parts:actions", "background:0,0,0::", "leaf:250,50,83::"]
    )
    colors = np.array([[0, 0, 0], [250, 50, 83], [224, 224, 192]], np.uint8)
    values = np.resize([0, 1, 2, 1], (HEIGHT, WIDTH))
    (home / "SegmentationClass").mkdir()
    Image.fromarray(colors[values]).save(home / "SegmentationClass/a.png")
    lists, _ = convert(home, tmp_path / "out")
    assert lists == {"all": ["a"]}
    mask = read_mask(tmp_path / "out/annotations/a.png")
    np.testing.assert_array_equal(mask, np.array([0, 1, 255])[values])
    assert (tmp_path / "out/class_names.txt").read_text() == "background\nleaf\n"


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda home: (home / "JPEGImages/b.jpg").unlink(), r"there is no '.*JPEGImages/b' \(as .bmp, "),
        (
            lambda home: (home / "SegmentationClassAug/d.png").unlink(),
            "there is no '.*SegmentationClassAug/d'",
        ),
        (lambda home: (home / "SegmentationClass/a.png").write_bytes(b"?"), "cannot read mask '.*a.png'"),
        (lambda home: (home / "JPEGImages/a.jpg").write_bytes(b"?"), "cannot read image '.*a.jpg'"),
        (
            lambda home: (home / "SegmentationClass/a.png").write_bytes(encoded(picture()[..., 0])),
            "is 30 x 20, its",
        ),
        (lambda home: shutil.rmtree(home / "ImageSets"), "there is no train.txt, val.txt or default.txt in"),
        (lambda home: write_list(home / "class_names.txt", ["ground"]), "holds 20, and the classes are 0..0"),
        (
            lambda home: write_list(home / "ImageSets/Segmentation/val.txt", ["../../c"]),
            "leads out of the data set",
        ),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_written(devkit, tmp_path, spoil, told):
    spoil(devkit)
    write_image(devkit.parent / "c.jpg")  # which the name "../../c" leads to
    with pytest.raises(UserError, match=told):
        convert(devkit, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_bad_images_may_be_left_out(devkit, tmp_path):
    (devkit / "JPEGImages/b.jpg").unlink()
    lists, lines = convert(devkit, tmp_path / "out", skip_bad=True)
    assert lists == {"train": ["a"], "val": ["c"], "trainaug": ["a", "d", "e"]}
    assert "left out because of 1 fault (1 missing file)" in lines
