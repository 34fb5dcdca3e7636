"""How images are prepared for a prediction, and what of it differs from the training."""

import pytest

from paddleseg.cvlibs import Config, manager
from paddleseg.errors import UserError
from paddleseg.transforms import Normalize

MODEL = "num_classes: 2\nmodel: {type: FCN, backbone: {type: MobileNetV2_x0_25}}\n"
IMAGENET = "{type: Normalize, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225]}"
RESIZE = "{type: Resize, target_size: [64, 32]}"


@manager.TRANSFORMS.add_component
class OwnSharpening:
    """A user's transform that does the same to each image."""

    fixed = True

    def __call__(self, data, rng=None):
        return data


@manager.TRANSFORMS.add_component
class OwnNormalize(Normalize):
    """A user's transform, of which nobody knows how it normalises."""


def data(section, *transforms, more=""):
    path, listed = f"{section.partition('_')[0]}_path: x", ", ".join(transforms)
    return f"{section}: {{type: Dataset, dataset_root: x, {path}, transforms: [{listed}]{more}}}\n"


def unlabeled(*transforms):
    listed = ", ".join(transforms)
    return f"unlabeled_dataset: {{type: UnlabeledImages, dataset_root: x, transforms: [{listed}]}}\n"


def deployed(path):
    """The `Config` as a prediction reads it."""
    return Config(path, sections=("model", "val_dataset", "test_config", "export"))


def types(cfg):
    return [spec["type"] for spec in cfg.deployed_transforms()]


def test_without_val_dataset_a_prediction_repeats_the_training(write, lines):
    crop = "{type: RandomPaddingCrop, crop_size: [32, 32]}"
    text = data("train_dataset", RESIZE, crop, "{type: RandomNoise}", IMAGENET, more=", img_channels: 3")
    cfg = deployed(write(MODEL + text))
    assert cfg.deployed_transforms() == [
        {"type": "Resize", "target_size": [64, 32]},
        {"type": "Normalize", "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
    ]
    cfg.warn_of_preparation()
    assert lines == [
        "images are prepared as in training (config.yml:3: train_dataset.transforms): 3 channels, "
        "Resize -> Normalize, without RandomPaddingCrop, RandomNoise; a section val_dataset, or `export: "
        "transforms:`, would state it"
    ]


def test_a_users_fixed_transform_is_repeated_and_any_other_is_left_out(write, lines):
    text = data("train_dataset", "{type: OwnSharpening}", "{type: Padding, target_size: [9, 9]}", IMAGENET)
    cfg = deployed(write(MODEL + text))
    assert types(cfg) == ["OwnSharpening", "Normalize"]
    cfg.warn_of_preparation()
    assert "OwnSharpening -> Normalize, without Padding;" in lines[0]


def test_mean_and_std_must_fit_the_channels(problems):
    grey = data("train_dataset", "{type: Normalize}", more=", img_channels: 1")
    grey += data("val_dataset", RESIZE, IMAGENET, more=", img_channels: 1")
    grey += "export: {transforms: [{type: Normalize, mean: [0, 0, 0], std: [1]}]}\n"
    assert problems(MODEL + grey) == [
        "config.yml:4: val_dataset.transforms.1.mean: 3 values for images of 1 channel",
        "config.yml:4: val_dataset.transforms.1.std: 3 values for images of 1 channel",
        "config.yml:5: export.transforms.0.mean: 3 values for images of 1 channel",
    ]
    assert problems(MODEL + grey.replace("img_channels: 1", "img_channels: 3")) == []


def test_channels_come_from_the_training_too(write):
    grey = data("train_dataset", "{type: Normalize}", more=", img_channels: 1")
    cfg = deployed(write(MODEL + grey))
    assert cfg.img_channels == 1


def test_a_prediction_draws_no_interpolation(write):
    text = data("train_dataset", "{type: Resize, target_size: [64, 32], interp: RANDOM}")
    cfg = deployed(write(MODEL + text))
    assert cfg.deployed_transforms() == [{"type": "Resize", "target_size": [64, 32]}]


def test_a_training_on_unlabelled_images_counts_where_nothing_else_does(write, lines):
    cfg = deployed(write(MODEL + unlabeled(RESIZE, "{type: Normalize}")))
    assert types(cfg) == ["Resize", "Normalize"]
    cfg.warn_of_preparation()
    assert "(config.yml:3: unlabeled_dataset.transforms)" in lines[0]


def test_what_is_assumed_is_said(write, lines):
    cfg = deployed(write(MODEL))
    assert cfg.deployed_transforms() == [{"type": "Normalize"}]
    cfg.warn_of_preparation()
    assert len(lines) == 1
    assert lines[0].startswith("config.yml does not state how images are prepared: Normalize is assumed")


@pytest.mark.parametrize("listed", ["", IMAGENET, f"{RESIZE}, {IMAGENET}"])
def test_what_val_dataset_states_counts_and_needs_no_word(write, lines, listed):
    text = data("train_dataset", IMAGENET) + data("val_dataset", listed)
    cfg = deployed(write(MODEL + text))
    assert len(types(cfg)) == listed.count("type")
    assert cfg.deployed_section() == "val_dataset"
    cfg.warn_of_preparation()
    assert len(lines) == (0 if listed else 1)  # without Normalize the model meets other values


def test_export_wins_in_a_deployment(write):
    export = f"export: {{transforms: [{RESIZE}, {IMAGENET}]}}\n"
    cfg = deployed(write(MODEL + data("val_dataset", IMAGENET) + export))
    assert types(cfg) == ["Resize", "Normalize"]
    assert cfg.deployed_section(("val_dataset", "export")) == "val_dataset"


def test_sections_that_normalise_otherwise_are_named_with_both_lines(write):
    text = data("train_dataset", RESIZE, IMAGENET) + data("val_dataset", "{type: Normalize}")
    text += unlabeled(RESIZE) + "export: {transforms: [{type: Normalize, mean: [0], std: [1]}]}\n"
    cfg = Config(write(MODEL + text))
    there = (
        "but config.yml:3: train_dataset.transforms.1: Normalize with mean [0.485, 0.456, 0.406] and std "
        "[0.229, 0.224, 0.225]; the model meets other values than it was trained on"
    )
    assert cfg.differences("val_dataset", "unlabeled_dataset", "export") == [
        f"config.yml:4: val_dataset.transforms.0: Normalize with mean [0.5] and std [0.5], {there}",
        f"config.yml:5: unlabeled_dataset.transforms: no Normalize, {there}",
        f"config.yml:6: export.transforms.0: Normalize with mean [0] and std [1], {there}",
    ]
    assert len(cfg.differences("export")) == 1


def test_a_normalisation_in_units_of_bytes_is_named_with_what_is_meant(write):
    in_bytes = "{type: Normalize, mean: [123.675, 116.28, 103.53], std: [58.395, 57.12, 57.375]}"
    text = data("train_dataset", RESIZE, in_bytes) + data("val_dataset", RESIZE, in_bytes)
    words = (
        "Normalize with mean [123.675, 116.28, 103.53] and std [58.395, 57.12, 57.375], for images of 0..1, "
        "not of 0..255; use mean [0.485, 0.456, 0.406] and std [0.229, 0.224, 0.225]"
    )
    assert Config(write(MODEL + text)).differences("val_dataset") == [
        f"config.yml:3: train_dataset.transforms.1: {words}",
        f"config.yml:4: val_dataset.transforms.1: {words}",
    ]
    text = data("train_dataset", "{type: Normalize, mean: [0], std: [1]}")
    assert Config(write(MODEL + text)).differences() == []


@pytest.mark.parametrize(
    "other",
    [
        IMAGENET,
        "{type: Normalize, mean: [0.4850, 0.4559, 0.4062], std: [0.229, 0.224, 0.225]}",
        "{type: Resize}, " + IMAGENET,
        "{type: OwnNormalize}",
    ],
)
def test_equal_or_unknown_normalisations_are_no_difference(write, other):
    text = data("train_dataset", IMAGENET) + data("val_dataset", other)
    assert Config(write(MODEL + text)).differences("val_dataset", "export") == []


def test_one_value_for_all_channels_equals_three(write):
    three = "{type: Normalize, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5]}"
    text = data("train_dataset", three) + data("val_dataset", "{type: Normalize}")
    assert Config(write(MODEL + text)).differences("val_dataset") == []


def named(first, second):
    return "".join(
        data(section, IMAGENET, more=f", class_names: {names}")
        for section, names in (("train_dataset", first), ("val_dataset", second))
    )


def test_classes_in_another_order_are_refused(problems):
    assert problems(MODEL + named("[road, car]", "[car, road]")) == [
        "config.yml:4: val_dataset.class_names: the classes car, road, but train_dataset.class_names "
        "(config.yml:3) has road, car; a class has one number in all data sets"
    ]
    assert problems(MODEL + named("[road, car]", "[road, car]")) == []


def test_classes_of_other_names_are_a_difference(write):
    cfg = Config(write(MODEL + named("[road, car]", "[street, car]")))
    assert cfg.differences("val_dataset") == [
        "config.yml:4: val_dataset.class_names: the classes street, car, but config.yml:3: "
        "train_dataset.class_names: road, car; a class has one name, the same in each data set"
    ]


def test_a_prediction_refuses_channels_other_than_those_of_the_training(problems):
    text = data("train_dataset", "{type: Normalize}", more=", img_channels: 1")
    text += data("val_dataset", "{type: Normalize}")
    (problem,) = problems(MODEL + text, sections=("model", "val_dataset", "export"))
    assert (
        "config.yml:4: val_dataset: 3 channels, but train_dataset.img_channels (config.yml:3) has 1"
        in problem
    )


def test_another_range_of_images_than_in_the_training_is_named(write, lines):
    train = data("train_dataset", IMAGENET, more=", img_range: [0, 4095]")
    text = MODEL + train + data("val_dataset", IMAGENET)
    cfg = Config(write(text), sections=("model", "train_dataset", "val_dataset"))
    (line,) = cfg.differences("val_dataset")
    assert line == (
        "config.yml:4: val_dataset: no img_range, but config.yml:3: train_dataset.img_range: img_range "
        "[0, 4095]; equal values of the files become other ones for the model"
    )
    same = MODEL + train + data("val_dataset", IMAGENET, more=", img_range: [0, 4095]")
    assert (
        Config(write(same), sections=("model", "train_dataset", "val_dataset")).differences("val_dataset")
        == []
    )
    published = "val_dataset: {type: Cityscapes, dataset_root: x, transforms: [{type: Normalize}]}\n"
    text = MODEL.replace("2", "19") + data("train_dataset", "{type: Normalize}") + published
    assert Config(write(text), sections=("train_dataset", "val_dataset")).differences("val_dataset") == []


@pytest.mark.parametrize(
    ("wrong", "message"),
    [("target_sise: [64, 32]", "unknown key 'target_sise'"), ("target_size: x", "target_size: must be")],
)
def test_the_transforms_of_a_training_are_checked_where_a_prediction_takes_them(write, wrong, message):
    cfg = deployed(write(MODEL + data("train_dataset", f"{{type: Resize, {wrong}}}", IMAGENET)))
    with pytest.raises(UserError, match=f"config.yml:3: train_dataset.transforms.0.*{message}"):
        cfg.deployed_transforms()


def test_a_prediction_draws_no_size(write):
    drawn = "{type: ResizeByShort, short_size: [32, 48, 64]}"
    assert types(deployed(write(MODEL + data("train_dataset", drawn, IMAGENET)))) == ["Normalize"]
    alone = "{type: ResizeByShort, short_size: [32]}"
    assert types(deployed(write(MODEL + data("train_dataset", alone, IMAGENET)))) == [
        "ResizeByShort",
        "Normalize",
    ]
