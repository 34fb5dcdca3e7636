"""The masks that deploy/infer.py writes, and the files that it must not replace."""

import os

import cv2
import numpy as np
import pytest

from paddleseg.utils.pictures import class_colors

MASK = np.arange(96, dtype="int32").reshape(1, 8, 12) % 3


@pytest.fixture
def write_masks(infer, deployment, monkeypatch):
    """A function that runs deploy/infer.py with a model whose mask is `MASK`, in 250 ms."""
    clock = [0.0]
    monkeypatch.setattr(deployment("benchmark").time, "perf_counter", lambda: clock[0])

    def model(batch):
        clock[0] += 0.25
        return MASK

    return lambda images, out: infer(model, images, out, num_classes=3)


def test_masks_are_classes_in_grey_and_in_colours(tmp_path, photos, write_masks, capsys):
    assert write_masks(photos(tmp_path / "photos", "a.jpg", "b.png"), tmp_path / "out") == 0
    assert sorted(os.listdir(tmp_path / "out")) == ["a.png", "a_color.png", "b.png", "b_color.png"]
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "out/a.png"), cv2.IMREAD_UNCHANGED), MASK[0])
    picture = cv2.imread(str(tmp_path / "out/a_color.png"))[..., ::-1]
    np.testing.assert_array_equal(picture, np.reshape(class_colors(3), (-1, 3))[MASK[0]])
    latency = "latency of the model alone: median 250.0 ms (250.0 to 250.0 ms)"
    assert capsys.readouterr().out.splitlines() == [f"images: 2, masks in {tmp_path / 'out'}", latency]


def test_a_second_run_writes_the_same_masks_again(tmp_path, photos, write_masks):
    folder = photos(tmp_path / "photos", "a.jpg")
    assert [write_masks(folder, folder), write_masks(folder, folder)] == [0, 0]
    assert sorted(os.listdir(folder)) == ["a.jpg", "a.png", "a_color.png"]


@pytest.mark.parametrize("names", [["a.png"], ["a_color.png"], ["a.png", "a_color.png"]])
def test_files_of_another_origin_stay(tmp_path, photos, write_masks, capsys, names):
    """Such as the masks of a data set, without coloured pictures or beside other ones."""
    folder, masks = photos(tmp_path / "photos", "a.jpg"), photos(tmp_path / "masks", *names)
    if len(names) == 2:
        cv2.imwrite(str(masks / "a.png"), MASK[0])
    before = {name: (masks / name).read_bytes() for name in names}
    assert write_masks(folder, masks) == 2
    assert f"{masks / names[0]} exists and is not from an earlier run" in capsys.readouterr().err
    assert {name: (masks / name).read_bytes() for name in os.listdir(masks)} == before


@pytest.mark.parametrize("classes", [2, 3, 150, 256])
def test_masks_of_any_number_of_classes_are_recognised(tmp_path, deployment, classes):
    masks, infer = deployment("masks"), deployment("infer")
    mask = (np.arange(600, dtype="int64").reshape(20, 30) % classes).astype("uint8")
    path = str(tmp_path / "a.png")
    infer.write_mask(path, mask, infer.palette(classes))
    assert masks.is_own(path, masks.colored(path))
    assert deployment("photographs").own_masks([path, masks.colored(path)]) == {path, masks.colored(path)}
    infer.write_mask(path, mask, infer.palette(classes)[::-1])
    assert not masks.is_own(path, masks.colored(path))


def test_a_photograph_is_not_written_over(tmp_path, photos, write_masks, capsys):
    folder = photos(tmp_path / "photos", "a.png")
    before = (folder / "a.png").read_bytes()
    assert write_masks(folder, folder) == 2
    assert "a.png would be written over a photograph" in capsys.readouterr().err
    assert (folder / "a.png").read_bytes() == before
    assert os.listdir(folder) == ["a.png"]


def test_a_mask_that_cannot_be_written_does_not_end_the_others(tmp_path, photos, write_masks, capsys):
    folder = photos(tmp_path / "photos", "a.jpg", "b" * 246 + ".jpg", "c.jpg")
    assert write_masks(folder, tmp_path / "out") == 2
    out, err = capsys.readouterr()
    assert "images: 2, masks in" in out
    assert "b.jpg: cannot write " in err
    assert err.splitlines()[-1] == "error: 1 of 3 images were skipped and have no mask"
    assert sorted(os.listdir(tmp_path / "out")) == ["a.png", "a_color.png", "c.png", "c_color.png"]


@pytest.mark.skipif(os.name == "nt", reason="every name is UTF-8 on Windows")
def test_a_name_that_is_not_utf_8_gets_a_mask(tmp_path, photos, write_masks):
    folder = photos(tmp_path / "photos", "a.jpg")
    try:
        os.rename(folder / "a.jpg", os.fsencode(folder) + b"/caf\xe9.jpg")
    except OSError:
        pytest.skip("this file system takes no such name")
    assert [write_masks(folder, tmp_path / "out") for _ in range(2)] == [0, 0]
    names = sorted(os.fsencode(name) for name in os.listdir(tmp_path / "out"))
    assert names == [b"caf\xe9.png", b"caf\xe9_color.png"]


def test_enlarging_adds_no_classes(deployment):
    mask = np.array([[[0, 2], [2, 0]]], "int32")
    assert set(np.unique(deployment("infer").mask_of(mask, (9, 7), "argmax"))) == {0, 2}


def test_probabilities_give_the_classes_of_their_logits_at_any_size(deployed):
    mask_of = deployed.mask_of
    logits = 4 * np.random.default_rng(0).standard_normal((1, 5, 16, 24)).astype("float32")
    likely = np.exp(logits - logits.max(1, keepdims=True))
    masks = [
        mask_of(output, (61, 83), op)
        for output, op in ((logits, "none"), (likely / likely.sum(1, keepdims=True), "softmax"))
    ]
    np.testing.assert_array_equal(*masks)
    assert set(np.unique(masks)) == set(range(5))


def test_probabilities_may_be_0(deployed):
    # Logits so far apart that float32 rounds probabilities to 0; at the graph's size, classes stay.
    logits = 300 * np.random.default_rng(0).standard_normal((1, 5, 16, 24)).astype("float32")
    likely = np.exp(logits - logits.max(1, keepdims=True))
    assert (likely == 0).any()
    with np.errstate(all="raise", under="ignore"):
        mask = deployed.mask_of(likely / likely.sum(1, keepdims=True), (16, 24), "softmax")
    np.testing.assert_array_equal(mask, logits[0].argmax(0))


def test_nothing_is_written_over_a_photograph_or_another_mask(tmp_path, deployed):
    refuse, names = deployed.refuse_overwriting, deployed.mask_names
    photos = [str(tmp_path / name) for name in ("x.png", "y.jpg")]

    def masks(folder, files):
        return [str(folder / name) for name in names(files)]

    refuse(photos, masks(tmp_path / "masks", photos))
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    for folder in (tmp_path, tmp_path / "masks" / "..", tmp_path / "link"):
        with pytest.raises(deployed.UserError, match=r"x\.png would be written over a photograph"):
            refuse(photos, masks(folder, photos))
    # Images of a list may have any names.
    odd = [str(tmp_path / name) for name in ("x.jpg", "x_color")]
    with pytest.raises(deployed.UserError, match=r"x_color\.png would be written over"):
        refuse(odd, masks(tmp_path / "masks", odd))
    seen = [str(tmp_path / "x_color.png"), str(tmp_path / "z" / "y.jpg")]
    with pytest.raises(deployed.UserError, match=r"x_color\.png would be written over a photograph"):
        refuse(seen, [str(tmp_path / "x.png")])


def test_classes_that_a_mask_cannot_hold_are_refused(deployed):
    most = np.full((1, 4, 4), 255, "int32")
    assert deployed.mask_of(most, (4, 4), "argmax").max() == 255
    for output, output_op, count in ((most + 1, "argmax", 257), (np.zeros((1, 300, 4, 4)), "none", 300)):
        with pytest.raises(deployed.UserError, match=f"the model has {count} classes, but a mask holds 256"):
            deployed.mask_of(output.astype("float32" if count == 300 else "int32"), (4, 4), output_op)
