import json

import numpy as np
import pytest
from annotation_files import HEIGHT, WIDTH, coco, coco_annotation, coco_image, encoded, picture

from paddleseg.cvlibs import Config
from paddleseg.errors import UserError

SIZE = (HEIGHT, WIDTH)
BOX = [2, 3, 10, 3, 10, 8, 2, 8]
IMAGES = [coco_image(7, "a.png"), coco_image(9, "sub/b.png")]


@pytest.fixture
def write(tmp_path):
    """Write a JSON file and two images, one of them without annotations."""

    def write(annotations, images=IMAGES, **more):
        for seed, name in enumerate(("a.png", "sub/b.png")):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_bytes(encoded(picture(seed)))
        (tmp_path / "in.json").write_text(json.dumps({**coco(images, annotations), **more}), "utf-8")

    return write


def runs_of(mask):
    """Return the uncompressed encoding of a mask, run by run."""
    runs, value = [0], 0
    for pixel in mask.T.ravel().tolist():
        if pixel != value:
            runs.append(0)
            value = pixel
        runs[-1] += 1
    return {"counts": runs, "size": list(mask.shape)}


def test_polygons_of_one_object_and_of_several_classes(write, from_coco, boxes):
    overlapping = [BOX, [8, 5, 20, 5, 20, 12, 8, 12]]
    write([coco_annotation(7, 10, overlapping), coco_annotation(7, 20, [[12, 6, 15, 6, 15, 9, 12, 9]])])
    result = from_coco()
    assert result.class_names == ["_background_", "cat", "dog"]
    masks = result.masks()
    areas = [(1, 2, 3, 10, 8), (1, 8, 5, 20, 12), (2, 12, 6, 15, 9)]
    np.testing.assert_array_equal(masks["images/a.png"], boxes(SIZE, *areas))
    assert not masks["images/sub/b.png"].any()
    assert (
        f"note: images without a shape: 1, the first is {result.folder.parent}/in.json: images[1]"
        in result.lines
    )


def test_run_lengths_with_a_hole(write, from_coco, boxes):
    ring = boxes(SIZE, (1, 3, 3, 12, 12), (0, 5, 5, 8, 8))
    write([coco_annotation(7, 20, runs_of(ring), iscrowd=1)])
    np.testing.assert_array_equal(from_coco().masks()["images/a.png"], 2 * ring)


def test_compressed_run_lengths(tmp_path, from_coco):
    y, x = np.ogrid[:40, :60]
    text = "Rg05P16K4M2N2N2O0O2O000O2O00000001N10001N101N2N2N3L5Jid0"  # by pycocotools 2.0.11
    content = coco(
        [coco_image(1, "c.png", (40, 60))], [coco_annotation(1, 10, {"counts": text, "size": [40, 60]})]
    )
    (tmp_path / "c.png").write_bytes(encoded(picture(size=(40, 60))))
    (tmp_path / "in.json").write_text(json.dumps(content))
    np.testing.assert_array_equal(from_coco().mask(), (y - 20) ** 2 + (x - 30) ** 2 < 150)


@pytest.mark.parametrize(
    ("annotation", "told"),
    [
        ({"segmentation": None}, r"annotations\[0\]: it has no 'segmentation'"),
        ({"segmentation": []}, "its 'segmentation' is empty"),
        ({"segmentation": [[1, 2, 3, 4]]}, "its polygon has 2 points, but needs 3"),
        (
            {"segmentation": {"counts": [5, 10**9], "size": [20, 30]}},
            "the runs of its RLE cover 1000000005 pixels",
        ),
        ({"segmentation": {"counts": "oooooooo", "size": [20, 30]}}, "its RLE is damaged"),
        ({"segmentation": {"counts": [1], "size": [10**9, 10**9]}}, "the size of its RLE is"),
        ({"image_id": 5}, r"annotations\[0\]: its image_id 5 is the id of no image"),
        (
            {"category_id": 99},
            "the label 'category_id 99' is no class; there are '_background_', 'cat', 'dog'",
        ),
    ],
)
def test_what_is_wrong_with_an_annotation_is_said_with_its_place(write, from_coco, annotation, told):
    write([{**coco_annotation(7, 10, [BOX]), **annotation}])
    with pytest.raises(UserError, match=told):
        from_coco()


@pytest.mark.parametrize("name", ["../a.png", "/etc/passwd", "gone.png", ""])
def test_an_image_that_is_missing_or_elsewhere_is_refused_and_may_be_skipped(write, from_coco, name):
    write([coco_annotation(7, 10, [BOX])], [IMAGES[0], coco_image(9, name)])
    with pytest.raises(UserError, match=r"in.json: images\[1\]: "):
        from_coco()
    result = from_coco(skip_bad=True)
    assert result.pairs == [["images/a.png", "annotations/a.png"]]
    assert "left out because of 1 fault (1 missing image)" in result.lines


@pytest.mark.parametrize(
    "keys",
    [{"images": None}, {"images": [5]}, {"categories": [{"id": "a", "name": "b"}]}, {"annotations": 5}],
)
def test_a_file_of_another_kind_is_refused(write, from_coco, keys):
    write(**{"annotations": [], **keys})
    with pytest.raises(UserError, match="in.json cannot be read as a file of COCO: it"):
        from_coco()


def test_the_config_states_the_number_of_bands(tmp_path, from_coco):
    np.save(tmp_path / "a.npy", np.zeros((HEIGHT, WIDTH, 6), np.uint8))
    (tmp_path / "in.json").write_text(
        json.dumps(coco([coco_image(1, "a.npy")], [coco_annotation(1, 10, [BOX])]))
    )
    result = from_coco()
    section = Config(str(result.folder / "dataset.yml"), sections=("train_dataset",)).dic["train_dataset"]
    assert section["img_channels"] == 6
    assert result.mask().sum() == 40
