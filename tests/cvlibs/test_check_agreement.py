"""What a config states in several places must agree."""

from whole_config import GREY

HEAD = "imports: [components]\n"
MODEL = HEAD + "model: {type: UserNet, num_classes: 2}\n"
DATA = "train_dataset: {type: UserData, transforms: [], num_classes: 2}\n"


def test_class_counts_must_agree(problems):
    text = (
        "num_classes: 4\n"
        + MODEL.replace("num_classes: 2", "num_classes: 3")
        + DATA
        + "val_dataset: {type: OpticDiscSeg, transforms: []}\n"
    )
    assert problems(text) == [
        "config.yml:3: model.num_classes: 3 classes, but num_classes (config.yml:1) has 4; they must agree "
        "(num_classes)",
        "config.yml:4: train_dataset.num_classes: 2 classes, but num_classes (config.yml:1) has 4; they must "
        "agree (num_classes)",
        "config.yml:5: val_dataset: 2 classes, but num_classes (config.yml:1) has 4; they must agree "
        "(num_classes)",
    ]


def test_a_config_may_override_the_class_count_of_a_data_set(problems):
    text = "train_dataset: {type: OpticDiscSeg, transforms: [], num_classes: 3}\n"
    assert problems(MODEL.replace("2}", "3}") + text) == []
    assert len(problems(MODEL + text)) == 1


def test_the_model_alone_need_not_agree_with_the_data(problems):
    text = MODEL + "train_dataset: {type: UserData, transforms: [], num_classes: 5}\n"
    assert problems(text, sections=("model",)) == []
    assert len(problems(text)) == 1


def test_ignored_labels_must_agree(problems):
    text = (
        "ignore_index: 255\n"
        "loss: {types: [{type: CrossEntropyLoss, ignore_index: 0}], coef: [1]}\n"
        "distill_loss: {types: [{type: KLLoss, ignore_index: 255}], coef: [1]}\n"
    )
    assert problems(text) == [
        "config.yml:2: loss.types.0.ignore_index: 0 as ignore_index, but ignore_index (config.yml:1) has "
        "255; they must agree (ignore_index)"
    ]
    assert problems(HEAD + DATA.replace("}", ", ignore_index: 7}") + text.replace("255", "7")) != []
    assert (
        problems(
            HEAD + DATA.replace("}", ", ignore_index: 7}") + text.replace("255", "7").replace(": 0", ": 7")
        )
        == []
    )


def test_channels_must_agree(problems):
    first = "train_dataset.img_channels (config.yml:4) has 1; they must agree (img_channels)"
    (problem,) = problems(GREY.replace("x0_25}", "x0_25, in_channels: 3}"))
    assert problem == (f"config.yml:3: model.backbone.in_channels: 3 channels, but {first}")
    (problem,) = problems(
        GREY.replace("val_path: x, transforms: [], img_channels: 1", "val_path: x, transforms: []")
    )
    assert problem == f"config.yml:5: val_dataset: 3 channels, but {first}"
