import os

import numpy as np
import pytest
import yaml
from annotation_files import box, encoded, picture, write_labelme

from paddleseg.annotations import split_data_set
from paddleseg.annotations.splitting import assign
from paddleseg.errors import UserError
from paddleseg.options import SplitOptions


@pytest.fixture
def data_set(tmp_path):
    """Write 20 images of 10 patients, with a rare class in the first 5 images; return the folder."""
    for number in range(20):
        mask = np.zeros((12, 16), np.uint8)
        mask[:, : number % 7] = 1
        mask[:3, 10:] = 2 * (number < 5)
        for folder, pixels in (("images", picture(number, (12, 16))), ("annotations", mask)):
            (tmp_path / folder).mkdir(exist_ok=True)
            name = f"p{number // 2}_{'left' if number % 2 else 'right'}.png"
            (tmp_path / folder / name).write_bytes(encoded(pixels))
    return tmp_path


def split(folder, **options):
    """Divide a data set; return the names of the images of train, val and test."""
    split_data_set(str(folder), SplitOptions(**options))
    return names_in_lists(folder)


def names_in_lists(folder):
    paths = [folder / f"{name}.txt" for name in ("train", "val", "test")]
    lines = [path.read_text("utf-8").splitlines() if path.exists() else [] for path in paths]
    assert all(line.split()[0][7:] == line.split()[1][12:] for part in lines for line in part)
    return [[os.path.basename(line.split()[0]) for line in part] for part in lines]


def test_every_image_is_in_one_list_and_the_sizes_are_exact(data_set):
    parts = split(data_set, split=(0.5, 0.3, 0.2))
    assert [len(part) for part in parts] == [10, 6, 4]
    assert sorted(sum(parts, [])) == sorted(os.listdir(data_set / "images"))


def test_the_seed_decides(data_set):
    first = split(data_set, seed=3)
    assert split(data_set, seed=3) == first
    assert split(data_set, seed=4, overwrite=True) != first


def test_each_class_has_its_share_in_each_list():
    rng = np.random.default_rng(0)
    pixels = rng.gamma(2, 1000, (400, 6)).round()
    pixels[:, 1:] *= rng.random((400, 5)) < [0.5, 0.3, 0.1, 0.05, 0.025]
    shares = np.array([0.7, 0.2, 0.1])
    parts = assign(pixels.astype(int), np.arange(400), shares, np.random.default_rng(1))
    at_random = [np.random.default_rng(seed).permutation(parts) for seed in range(20)]

    def errors(parts, content):
        held = np.stack([content[parts == part].sum(0) for part in range(3)])
        return abs(held / content.sum(0) - shares[:, None]).max(0)

    for content in (pixels, pixels > 0):
        reached = errors(parts, content)
        assert (reached[:3] < 0.01).all()  # classes of 400, 200 and 120 images
        assert (reached <= np.mean([errors(other, content) for other in at_random], axis=0)).all()


@pytest.mark.parametrize("pattern", [r"p\d+", r"(p\d+)_", r"/(p)(\d+)_"])
def test_a_pattern_keeps_patients_together(data_set, pattern):
    parts = split(data_set, group_pattern=pattern, split=(0.6, 0.2, 0.2))
    patients = [{name.split("_")[0] for name in part} for part in parts]
    assert [len(part) for part in patients] == [6, 2, 2]
    assert len(set.union(*patients)) == 10


def test_a_file_keeps_groups_together_by_path_name_or_stem(data_set):
    names = sorted(os.listdir(data_set / "images"))
    spelled = [f"images/{names[0]}, day1", f"{names[1]}\tday1", f"{names[2][:-4]} day1"]
    (data_set / "groups.txt").write_text("\n".join([*spelled, *(f"{name} {name}" for name in names[3:])]))
    for seed in range(5):
        parts = split(data_set, group_file=str(data_set / "groups.txt"), seed=seed, overwrite=True)
        assert any(set(names[:3]) <= set(part) for part in parts)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            {"group_pattern": "day"},
            "group_pattern 'day' finds nothing in 'images/p0_left.png', .* and 17 more",
        ),
        ({"group_pattern": "("}, r"group_pattern '\(' is no regular expression"),
        ({"group_pattern": "p", "group_file": "x"}, "give group_pattern or group_file, not both"),
        ({"group_pattern": "p"}, r"val.txt would be empty: 20 images in 1 group cannot be divided"),
        ({"split": (0.5, 0.4)}, "that add up to 1"),
        ({"split": (0.0, 1.0)}, "that add up to 1"),
        ({"split": (1.0,)}, "that add up to 1"),
        ({"split": (0.99, 0.01)}, "val.txt would be empty"),
        ({"image_dir": "photos"}, "there is no image, folder or list '?.*photos"),
    ],
)
def test_what_cannot_be_done_is_refused(data_set, options, told):
    with pytest.raises(UserError, match=told):
        split(data_set, **options)
    assert not (data_set / "train.txt").exists()


def test_a_line_of_groups_in_another_form_is_refused(data_set):
    (data_set / "groups.txt").write_text("p0_left\n")
    with pytest.raises(UserError, match="groups.txt: expected an image and its group, got 'p0_left'"):
        split(data_set, group_file=str(data_set / "groups.txt"))


def test_an_image_without_a_mask_and_a_damaged_mask(data_set):
    os.remove(data_set / "annotations/p3_left.png")
    with pytest.raises(
        UserError, match="without a mask of their name in 'annotations': 1, the first is 'p3_left.png'"
    ):
        split(data_set)
    (data_set / "annotations/p3_left.png").write_bytes(b"no image")
    with pytest.raises(UserError, match="cannot read mask .*p3_left.png.*--skip_bad"):
        split(data_set)
    assert len(sum(split(data_set, skip_bad=True), [])) == 19


def test_lists_that_are_there_are_replaced_only_if_that_is_wanted(data_set):
    split(data_set)
    (data_set / "val.txt").write_text("images/p0_left.png annotations/p0_left.png\n")
    with pytest.raises(UserError, match="already has a different val.txt; --overwrite replaces"):
        split(data_set)
    assert len(names_in_lists(data_set)[1]) == 1
    split(data_set, overwrite=True)
    assert len(names_in_lists(data_set)[1]) == 4


def test_the_result_of_a_conversion_is_divided_with_its_names(tmp_path, from_labelme):
    for number in range(4):
        write_labelme(tmp_path / f"in/day 1/{number}.json", [box("视盘", 1, 1, 9, 9)], seed=number)
    folder = from_labelme().folder
    split_data_set(str(folder), SplitOptions(split=(0.5, 0.5)))
    cfg = yaml.safe_load((folder / "dataset.yml").read_text("utf-8"))
    assert list(cfg) == ["train_dataset", "val_dataset"]
    assert cfg["val_dataset"]["separator"] == "\t"
    assert cfg["val_dataset"]["class_names"] == ["_background_", "视盘"]
    assert len((folder / "val.txt").read_text("utf-8").splitlines()) == 2


def test_a_list_that_a_new_division_does_not_have_goes(data_set):
    """Its images are in the other lists now."""
    split(data_set, split=(0.6, 0.2, 0.2))
    with pytest.raises(UserError, match="already has a different test.txt, .*--overwrite replaces"):
        split(data_set, split=(0.8, 0.2))
    parts = split(data_set, split=(0.8, 0.2), overwrite=True)
    assert [len(part) for part in parts] == [16, 4, 0]


def test_the_config_states_the_bands_of_images_of_four(data_set):
    for path in (data_set / "images").iterdir():
        np.save(path.with_suffix(".npy"), np.zeros((12, 16, 4), np.uint8))
        path.unlink()
    split_data_set(str(data_set), SplitOptions())
    assert yaml.safe_load((data_set / "dataset.yml").read_text())["train_dataset"]["img_channels"] == 4


@pytest.mark.parametrize("names_it", [False, True])
def test_a_list_of_other_images_and_the_one_that_is_divided_stay(data_set, names_it):
    names = sorted(os.listdir(data_set / "images"))
    lines = [f"images/{name} annotations/{name}" for name in names]
    (data_set / "test.txt").write_text("\n".join(lines[:5]))
    (data_set / "others.txt").write_text("\n".join(lines[5:]))
    chosen = data_set / ("test.txt" if names_it else "others.txt")
    parts = split(data_set, split=(0.8, 0.2), file_list=str(chosen))
    assert [len(part) for part in parts] == ([4, 1, 5] if names_it else [12, 3, 5])
