"""What a config states, and where."""

import pytest
from whole_config import FULL, GREY

from paddleseg.cvlibs import Config, manager
from paddleseg.errors import UserError


def test_a_fact_has_the_place_of_its_first_statement(write):
    cfg = Config(write(FULL))
    assert cfg.stated("num_classes") == (2, "config.yml:4: model.num_classes")
    cfg = Config(write("num_classes: 2\n" + FULL))
    assert cfg.stated("num_classes") == (2, "config.yml:1: num_classes")


def test_the_class_of_a_data_set_states_facts_at_its_section(write):
    cfg = Config(write("train_dataset: {type: OpticDiscSeg, transforms: []}\n"))
    assert cfg.stated("num_classes") == (2, "config.yml:1: train_dataset")


def test_without_a_statement_a_fact_is_its_default(write):
    cfg = Config(write("iters: 3\n"))
    assert cfg.stated("num_classes") == (None, "config.yml")
    assert (cfg.num_classes, cfg.ignore_index, cfg.img_channels) == (None, 255, 3)


def test_the_backbone_decides_how_many_channels_images_have(write):
    cfg = Config(write(GREY.replace("x0_25}", "x0_25, in_channels: 4}")), sections=("model",))
    assert cfg.stated("img_channels") == (4, "config.yml:3: model.backbone.in_channels")


NORMALIZED = FULL.replace("[]}", "[{type: Normalize, mean: [0.1], std: [0.2]}]}", 1)


def test_the_normalization_of_the_images_that_a_distillation_trains_on(write):
    assert Config(write(FULL)).normalization == (((0,), (1 / 255,)), "config.yml:5: train_dataset.transforms")
    place = "config.yml:5: train_dataset.transforms.0"
    assert Config(write(NORMALIZED)).normalization == (((0.1,), (0.2,)), place)


def test_another_normalization_is_refused(write):
    cfg = Config(write(NORMALIZED + "unlabeled_dataset: {type: UserData, transforms: []}\n"))
    message = (
        r"config.yml:11: unlabeled_dataset.transforms: images are normalised differently at config.yml:5"
    )
    with pytest.raises(UserError, match=message):
        _ = cfg.normalization


@manager.DATASETS.add_component
class OwnTransforms:
    """Transforms images by itself."""

    def __init__(self, **more):
        self.given = more


def test_a_data_set_without_transforms_states_no_normalization(write):
    opts = ["distill={unlabeled_share: 1}", "unlabeled_dataset={type: OwnTransforms}"]
    cfg = Config(write(FULL), opts=opts)
    with pytest.raises(UserError, match="unlabeled_dataset: no transforms here state how images are"):
        _ = cfg.normalization


def test_what_normalises_twice_or_divides_by_0_states_no_normalization(write):
    for listed in ("{type: Normalize}, {type: Normalize}", "{type: Normalize, std: [0]}"):
        cfg = Config(write(FULL.replace("[]}", f"[{listed}]}}", 1)))
        with pytest.raises(
            UserError, match=r"config.yml:5: train_dataset: no transforms here state .* Normalize"
        ):
            _ = cfg.normalization


def test_normalizations_are_those_of_the_sections_that_state_one(write):
    cfg = Config(write(NORMALIZED))
    stated = (((0.1,), (0.2,)), "config.yml:5: train_dataset.transforms.0")
    assert cfg.normalizations(["export", "train_dataset"]) == [stated]


def test_channels_are_placed_where_they_are_stated(write):
    cfg = Config(write(GREY))
    assert cfg.place_of_channels(1, "model") == "config.yml:3: model.backbone.in_channels"
    assert cfg.place_of_channels(1, "train_dataset").endswith("train_dataset.img_channels")
    assert cfg.place_of_channels(7, "model") == "config.yml:3: model"
