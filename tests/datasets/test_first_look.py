"""What a training says about files that can be read but may be wrong, and that the check finds it too."""

import cv2
import numpy as np
import pytest
import tiny
from PIL import Image

from paddleseg.cvlibs import Config
from paddleseg.datasets import Dataset
from paddleseg.datasets.check_data import check_config, notes
from paddleseg.datasets.first_look import look_at_samples
from paddleseg.errors import UserError

RNG = np.random.default_rng(2)
SIZE = (10, 14)


def colour(size=SIZE):
    return RNG.integers(0, 256, (*size, 3), dtype=np.uint8)


def classes(size=SIZE, values=(0, 1)):
    mask = np.full(size, values[0], np.uint8)
    for value, row in zip(values[1:], range(2, 9, 2)):
        mask[row : row + 2, 3:9] = value
    return mask


def save(path, array, orientation=1, **options):
    """Write an image, perhaps with an EXIF orientation, or a NumPy file."""
    if path.suffix == ".npy":
        np.save(path, array)
    elif array.dtype == np.uint8:
        exif = Image.Exif()
        exif[0x112] = orientation
        Image.fromarray(array).save(path, **options, **({"exif": exif} if orientation != 1 else {}))
    else:
        assert cv2.imwrite(str(path), array)


@pytest.fixture
def pairs(tmp_path):
    """A function that writes (image, mask) pairs of arrays, with keyword arguments of `save` for each."""

    def write(*arrays, image="png", mask="png", of_image=None, of_mask=None):
        lines = []
        for i, (picture, labels) in enumerate(arrays):
            save(tmp_path / f"{i}.{image}", picture, **(of_image or {}))
            save(tmp_path / f"{i}_mask.{mask}", labels, **(of_mask or {}))
            lines.append(f"{i}.{image} {i}_mask.{mask}")
        (tmp_path / "list.txt").write_text("\n".join(lines))
        return tmp_path

    return write


def said(root, capsys, mode="train", **keys):
    """Return what is said at the start, which reading does not say again, and the report of the check."""
    path = {f"{mode}_path": str(root / "list.txt")}
    keys = {"num_classes": 2, **keys}
    dataset = Dataset(str(root), [], mode=mode, **path, **keys)
    look_at_samples({"data": dataset})
    at_start = capsys.readouterr().out
    for i in range(len(dataset)):
        dataset[i]
    assert capsys.readouterr().out == ""
    section = {"type": "Dataset", "dataset_root": str(root), "transforms": [], **path, **keys}
    config = tiny.write_yaml(root / "c.yml", {f"{mode}_dataset": section})
    report = check_config(Config(config, sections=(f"{mode}_dataset",)))
    return at_start, report


def test_usual_files_raise_no_doubt(pairs, capsys):
    root = pairs(*[(colour(), classes()) for _ in range(3)])
    at_start, report = said(root, capsys)
    assert at_start == ""
    assert (report.findings, notes(report)) == ([], [])
    root = pairs(*[(colour(), classes(values=(0, 255, 1))) for _ in range(3)], image="jpg")
    assert said(root, capsys)[0] == ""


@pytest.mark.parametrize("num_classes", [2, 3])
def test_a_foreground_of_255_is_asked_about(pairs, capsys, num_classes):
    root = pairs(*[(colour(), classes(values=(0, 255))) for _ in range(3)])
    at_start, report = said(root, capsys, num_classes=num_classes)
    words = (
        "3 masks hold class 0 and 255 alone, and 255 is ignored, 8.6% of the pixels; did you mean 1 by 255?"
    )
    assert f"data: {words}" in at_start
    assert report.findings == [f"train_dataset: {words}"]


@pytest.mark.parametrize("keys", [{}, {"ignore_index": 0}, {"num_classes": 3}])
def test_masks_that_are_ignored_as_a_whole_are_named(pairs, capsys, keys):
    ignored = keys.get("ignore_index", 255)
    root = pairs(*[(colour(), classes(values=(ignored,))) for _ in range(3)])
    at_start, report = said(root, capsys, **keys)
    words = f"3 masks hold {ignored} alone, which is ignored: no loss learns from them and no score counts"
    assert f"data: {words} them" in at_start
    assert report.findings == [f"train_dataset: {words} them"]


def test_a_single_class_is_asked_about(pairs, capsys):
    root = pairs((colour(), classes(values=(0,))))
    at_start, report = said(root, capsys, num_classes=1)
    assert "data: num_classes is 1, so every pixel is of that class" in at_start
    assert len(report.findings) == 1


def test_one_mask_with_a_class_is_enough(pairs, capsys):
    root = pairs((colour(), classes(values=(255,))), (colour(), classes()))
    assert said(root, capsys)[0] == ""


def test_one_mask_with_another_class_is_enough(pairs, capsys):
    doubtful = [(colour(), classes(values=(0, 255))) for _ in range(20)]
    root = pairs(*doubtful[:10], (colour(), classes()), *doubtful[10:])
    assert said(root, capsys)[0] == ""


def test_a_class_that_is_ignored_is_meant(pairs, capsys):
    root = pairs((colour(), classes()))
    at_start, report = said(root, capsys, ignore_index=0)
    assert (at_start, report.findings) == ("", [])


def test_255_that_is_no_class_is_asked_about(pairs, capsys):
    root = pairs((colour(), classes(values=(0, 255))))
    with pytest.raises(UserError, match="holds 255 .*did you mean 1 by 255"):
        Dataset(str(root), [], 2, train_path=str(root / "list.txt"), ignore_index=7)[0]


@pytest.mark.parametrize(("kind", "options"), [("jpg", {"quality": 95}), ("tif", {"compression": "jpeg"})])
def test_a_mask_that_was_compressed_with_losses_is_named(pairs, capsys, kind, options):
    root = pairs((colour(), np.zeros(SIZE, np.uint8)), mask=kind, of_mask=options)
    at_start, report = said(root, capsys)
    assert f"0_mask.{kind}' is compressed with losses" in at_start
    (finding,) = report.findings
    assert f"0_mask.{kind}' is compressed with losses" in finding


# (orientation of the image, of the mask, square, whether a doubt is raised)
ORIENTATIONS = [
    (1, 1, True, False),
    (3, 1, False, True),
    (2, 1, False, True),
    (6, 1, True, True),
    (1, 6, True, True),
    (6, 8, False, True),
    (6, 6, True, False),
    (3, 3, False, False),
    (6, 1, False, False),
    (1, 8, False, False),
]


@pytest.mark.parametrize(("image", "mask", "square", "doubtful"), ORIENTATIONS)
def test_orientations_that_sizes_cannot_confirm_are_named(pairs, capsys, image, mask, square, doubtful):
    size = (10, 10) if square else SIZE
    stored = [size if turned < 5 else size[::-1] for turned in (image, mask)]
    root = pairs(
        (colour(stored[0]), classes(stored[1])),
        image="jpg",
        of_image={"orientation": image},
        of_mask={"orientation": mask},
    )
    for mode in ("train", "val"):
        at_start, report = said(root, capsys, mode)
        assert ("the EXIF orientation of the image" in at_start) is doubtful
        assert [
            f"orientation of the image {str(root / '0.jpg')!r} is {image}" in line for line in report.findings
        ] == ([True] * doubtful)


@pytest.mark.parametrize("mode", ["train", "val"])
@pytest.mark.parametrize("turned", [{"of_image": {"orientation": 6}}, {"of_mask": {"orientation": 6}}])
def test_a_mask_on_its_side_is_an_error_in_every_mode(pairs, mode, turned):
    root = pairs((colour(), classes()), image="jpg", **turned)
    dataset = Dataset(str(root), [], 2, mode, **{f"{mode}_path": str(root / "list.txt")})
    with pytest.raises(
        UserError, match=r"0\.jpg.*one of them lies on its side, perhaps by its EXIF orientation"
    ):
        dataset[0]


def test_an_alpha_band_is_said_once_and_noted(pairs, capsys):
    rgba = [np.dstack([colour(), np.full(SIZE, 9, np.uint8)]) for _ in range(3)]
    root = pairs(*[(image, classes()) for image in rgba])
    at_start, report = said(root, capsys)
    assert at_start.count("has an alpha band, which is left out") == 1
    assert report.findings == []
    (note,) = notes(report)
    assert "0.png' has an alpha band, which is left out (3 images in all)" in note
    at_start, report = said(root, capsys, img_channels=4)
    assert (at_start, notes(report)) == ("", [])


def test_values_of_12_bits_without_a_range_are_asked_about(pairs, capsys):
    arrays = [RNG.integers(0, 4096, (*SIZE, 3)).astype(np.uint16) for _ in range(3)]
    arrays[0][0, 0] = 0, 4095, 4095
    root = pairs(*[(array, classes()) for array in arrays])
    at_start, report = said(root, capsys)
    assert "uint16 images lie in 0..4095" in at_start
    assert "did you mean `img_range: [0, 4095]`?" in at_start
    assert len(report.findings) == 1
    for keys in ({"img_range": [0, 4095]}, {"img_range": [0, 65535]}):
        at_start, report = said(root, capsys, **keys)
        assert (at_start, report.findings) == ("", [])


def test_images_outside_of_the_range_are_asked_about(pairs, capsys):
    root = pairs(*[(np.full((*SIZE, 3), 2000, np.uint16), classes()) for _ in range(2)])
    at_start, report = said(root, capsys, img_range=[0, 1])
    assert "2 images of 2 have no value within img_range [0, 1]" in at_start
    assert len(report.findings) == 1


def test_images_of_all_16_bits_and_floats_with_a_range_are_right(pairs, capsys):
    wide = RNG.integers(0, 2**16, (*SIZE, 3)).astype(np.uint16)
    assert said(pairs((wide, classes())), capsys)[0] == ""
    floats = RNG.random((*SIZE, 5)).astype(np.float32)
    root = pairs((floats, classes()), image="npy")
    at_start, report = said(root, capsys, img_channels=5, img_range=[0, 1])
    assert (at_start, report.findings) == ("", [])


def test_unlabelled_images_are_checked_too(pairs):
    root = pairs((colour(), classes()))
    (root / "list.txt").unlink()
    (root / "0_mask.png").unlink()
    (root / "broken.png").write_bytes(b"\x89PNG nonsense")
    path = {"unlabeled_dataset": {"type": "UnlabeledImages", "dataset_root": str(root), "transforms": []}}
    report = check_config(Config(tiny.write_yaml(root / "c.yml", path), sections=("unlabeled_dataset",)))
    (finding,) = report.findings
    assert "unlabeled_dataset: cannot read image" in finding
