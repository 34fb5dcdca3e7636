import numpy as np
import pytest
from PIL import Image

from paddleseg.cvlibs.class_names import class_names
from paddleseg.datasets import Dataset
from paddleseg.errors import UserError
from paddleseg.transforms import RandomHorizontalFlip, Resize


@pytest.fixture
def root(tmp_path):
    """Two pairs of 6 x 4 pixels, the second with a space in its names, and a list for each mode."""
    for name, value in (("a", 0), ("b c", 1)):
        image = np.full((4, 6, 3), 10 + value, np.uint8)
        image[:, 0] = 200
        Image.fromarray(image).save(tmp_path / f"{name}.png")
        Image.fromarray(np.where(image[..., 0] == 200, 255, value).astype(np.uint8)).save(
            tmp_path / f"{name}_mask.png"
        )
    lines = "a.png\ta_mask.png\n\n  \nb c.png\tb c_mask.png\n"
    for mode in ("train", "val"):
        (tmp_path / f"{mode}.txt").write_text(lines)
    (tmp_path / "test.txt").write_text("a.png\nb c.png\tb c_mask.png\n")
    return tmp_path


def make(root, mode="train", transforms=(), **changes):
    paths = {f"{m}_path": str(root / f"{m}.txt") for m in ("train", "val", "test")}
    arguments = {"num_classes": 2, "separator": "\t", **paths, **changes}
    return Dataset(str(root), list(transforms), mode=mode, **arguments)


def test_names_may_hold_spaces_and_lists_blank_lines(root):
    data = make(root)
    assert len(data) == 2
    assert data.file_list[1] == [str(root / "b c.png"), str(root / "b c_mask.png")]
    assert (data.num_classes, data.ignore_index, data.mode) == (2, 255, "train")


def test_a_class_may_say_which_label_is_ignored(root):
    class Own(Dataset):
        IGNORE_INDEX = 1

    listed = {"num_classes": 1, "train_path": str(root / "train.txt"), "separator": "\t"}
    assert Own(str(root), [], **listed).ignore_index == 1
    assert Own(str(root), [], ignore_index=7, **listed).ignore_index == 7
    with pytest.raises(UserError, match="holds 255 .* hold 0..0, or 1 for pixels to ignore"):
        Own(str(root), [], **listed)[0]


def test_a_config_may_name_the_classes(root):
    assert class_names(make(root)) == ()
    assert class_names(make(root, class_names=["soil", "leaf"])) == ("soil", "leaf")
    with pytest.raises(UserError, match="Dataset: class_names holds 1 name"):
        make(root, class_names=["soil"])


def test_the_mode_train_transforms_masks_too(root):
    sample = make(root, transforms=[Resize([3, 2]), RandomHorizontalFlip(1)])[1]
    assert sample["img"].shape == (3, 2, 3)
    assert sample["img"].dtype == np.float32
    assert sample["label"].tolist() == [[1, 1, 255]] * 2
    assert sample["trans_info"] == [("resize", (4, 6))]


def test_the_mode_val_keeps_the_size_of_masks(root):
    sample = make(root, "val", [Resize([3, 2])])[1]
    assert sample["img"].shape == (3, 2, 3)
    assert sample["label"].tolist() == [[255, 1, 1, 1, 1, 1]] * 4


@pytest.mark.parametrize("mode", ["val", "test"])
def test_transforms_that_cannot_be_undone_are_refused_in_evaluations(root, mode):
    with pytest.raises(
        UserError, match=f"^Dataset in mode '{mode}': RandomHorizontalFlip moves the image away"
    ):
        make(root, mode, [Resize([3, 2]), RandomHorizontalFlip()])


def test_the_mode_test_needs_no_masks(root):
    data = make(root, "test", [Resize([3, 2])])
    assert data.file_list[0] == [str(root / "a.png"), None]
    assert "label" not in data[0]
    assert data[1]["label"].shape == (4, 6)


def test_sample_depends_on_the_generator_alone(root):
    data = make(root, transforms=[RandomHorizontalFlip()])
    seen = {data.sample(0, np.random.default_rng(seed))["img"].tobytes() for seed in range(20)}
    assert len(seen) == 2
    first, again = (data.sample(0, np.random.default_rng(3))["img"] for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_a_data_set_can_be_iterated_over(root):
    assert len(list(make(root))) == 2


def test_bad_lines_are_named(root):
    (root / "train.txt").write_text("a.png a_mask.png\nb c.png b c_mask.png\n")
    with pytest.raises(UserError, match=r"train\.txt:2: .*separator"):
        make(root, separator=" ")
    (root / "train.txt").write_text("a.png\n")
    with pytest.raises(UserError, match=r"train\.txt:1: "):
        make(root)


def test_mask_values_that_are_no_class_are_named(root):
    Image.fromarray(np.array([[0, 7, 1, 255, 3, 7]] * 4, np.uint8)).save(root / "a_mask.png")
    with pytest.raises(UserError, match=r"a_mask\.png' holds 3, 7 .*0\.\.1, or 255"):
        make(root)[0]
    with pytest.raises(UserError, match=r"holds 255 .*or 9 for"):
        make(root, num_classes=8, ignore_index=9)[0]
    assert make(root, num_classes=8)[0]["label"].max() == 255


def test_missing_files_are_named(root):
    with pytest.raises(UserError, match=r"gone' is not a folder"):
        make(root / "gone")
    with pytest.raises(UserError, match=r"cannot read the list .*gone\.txt"):
        make(root, train_path=str(root / "gone.txt"))
    (root / "a.png").unlink()
    with pytest.raises(UserError, match=r"a\.png"):
        make(root)[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mode": "eval"}, "mode must be one of train, val, test"),
        ({"num_classes": 0}, "num_classes"),
        ({"separator": ""}, "separator"),
        ({"train_path": None}, "mode 'train' needs train_path"),
        ({"transforms": [5]}, "transforms must be a list"),
        ({"img_channels": 0}, "img_channels"),
        ({"img_range": [5, 5]}, "img_range must be"),
    ],
)
def test_bad_arguments_are_named(root, changes, message):
    with pytest.raises(UserError, match=message):
        make(root, **changes)


def test_empty_list_is_named(root):
    (root / "train.txt").write_text("\n")
    with pytest.raises(UserError, match=r"train\.txt' names no files"):
        make(root)


def test_list_in_another_encoding_is_named(root):
    (root / "train.txt").write_bytes("ä.png\tä_mask.png\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"cannot read the list .*train\.txt"):
        make(root)
