"""What a distillation refuses: each mistake with its message on stderr and exit status 2, no traceback."""

import distilling
import numpy as np
import pytest
import tiny
from refusal import refused

UNLABELED = {"type": "UnlabeledImages", "dataset_root": ".", "transforms": []}
LABELS_NEEDED = {"type": "MemoryLoss"}


def test_a_random_teacher(distill):
    refused(distill(pretrained=False), "model.pretrained is empty", "allow_random_teacher")


def test_a_layer_that_does_not_exist(distill):
    result = distill(features=[tiny.feature()], layer="boddy.0", teacher_layer="body.0")
    refused(result, "Student (student)", "no sublayer 'boddy.0'; did you mean 'body.0'")
    result = distill(features=[tiny.feature()], teacher_layer="boddy.0")
    refused(result, "Teacher (teacher)", "no sublayer 'boddy.0'; did you mean 'body.0'")


def test_a_tensor_that_does_not_exist(distill):
    refused(distill(tensor="mixd", teacher_tensor="mixed"), "leaves no 'mixd' on TinyNet", "'mixed'")


def test_a_feature_that_nobody_named(distill):
    refused(distill(features=[tiny.feature(4)]), "asks for the student's 'hidden_4'")


def test_features_of_different_shapes(distill):
    result = distill(teacher={"width": 6}, features=[tiny.feature()])
    refused(result, "student's hidden_0 has shape [2, 4, 32, 32]", "teacher's hidden_0 [2, 6, 32, 32]")


def test_a_loss_for_an_output_that_the_student_lacks(distill):
    result = distill(teacher={"outputs": 2}, opts=["distill_loss.coef=[3, 1]"])
    refused(result, "student and teacher share 1 output and the config 2 losses")


def test_another_number_of_classes(distill):
    refused(distill(teacher={"num_classes": 3}), "the student has 2 classes and the teacher's 3")


def test_a_loss_that_does_not_exist(distill):
    result = distill(features=[tiny.feature(loss_function="L3Loss")])
    refused(result, "unknown loss 'L3Loss'", "'L1Loss'")


@pytest.mark.parametrize(
    ("loss", "told"), [("DMLLoss", "raw features, which is NaN"), ("CELoss", "softmax over the width")]
)
def test_a_loss_that_cannot_work_on_features(distill, loss, told):
    refused(distill(features=[tiny.feature(loss_function=loss)]), told)


def test_a_distill_config_that_is_not_there(distill):
    refused(distill("--distill_config", "no_such.py"), "there is no file no_such.py")


def test_mistakes_in_the_users_own_file(distill, tmp_path):
    result = distill(tensor="logit_list[3]", teacher_tensor="mixed")
    refused(result, "Student (student)", "IndexError: list index out of range", "d.py")
    result = distill(tensor="body[1].featur", teacher_tensor="mixed")
    refused(result, "leaves no 'featur' on BatchNorm2D")


def test_a_loss_on_relations_between_samples_needs_some(distill):
    result = distill("--batch_size", "2", features=[tiny.feature(loss_function="RKDLoss")])
    refused(result, "is 0 for fewer than three; batch_size is 2")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"distill": {"features": [distilling.feature(loss="RKDLoss")]}, "batch_size": 2},
            ": distill.features.0.loss: body.0_RKDLoss compares the samples of a batch",
        ),
        (
            {"distill_loss": {"types": [{"type": "KLLoss"}] * 2, "coef": [1, 1]}},
            ": distill_loss: student and teacher share 1 output and the config 2 losses for them",
        ),
        (
            {"distill_loss": {"types": [{"type": "KLLoss", "temperature": 0}], "coef": [1]}},
            ": distill_loss.types.0: temperature must be a positive number, not 0",
        ),
        (
            {"unlabeled_dataset": UNLABELED, "distill": {"unlabeled_share": 1}, "distill_loss": None},
            ": distill.unlabeled_share: without labels, distill_loss and feature losses there is nothing",
        ),
        (
            {"distill": {"teacher_weighting": "confidence"}, "distill_loss": None},
            ": distill.teacher_weighting: confidence weighs logits, and without distill_loss no logits",
        ),
        (
            {"distill": {"features": [distilling.feature()]}, "distill_loss": None},
            "teacher 1 has no use: no logits are compared, and no entry of ",
        ),
    ],
)
def test_refusals_of_distillation_with_file_and_key(distill, tmp_path, changes, told):
    teachers = (
        [str(tmp_path / "teacher.yml")] * 2 if {"distill_loss": None}.items() <= changes.items() else []
    )
    result = distill(*(["--teacher_config", *teachers] if teachers else []), changes=changes)
    refused(result, "student.yml:", told)


@pytest.mark.parametrize(
    ("feature", "key", "told"),
    [
        ({"loss": {"type": "L3Loss"}}, "loss.type", "unknown loss 'L3Loss'; did you mean 'L"),
        ({"loss": {"type": "KLLoss", "temperature": -1}}, "loss", "temperature must be a positive number"),
        ({"loss": {"type": "L1Loss", "reduction": "some"}}, "loss", "L1Loss refuses {'reduction': 'some'}"),
        ({"student": "boddy.0"}, "student", "TinyNet has no sublayer 'boddy.0'; did you mean 'body.0'"),
        ({"teacher": {"input_of": "bod"}}, "teacher", "TinyNet has no sublayer 'bod'; did you mean 'body'"),
        (
            {"student": {"attr": "mixd"}},
            "student",
            "forward leaves no 'mixd' on TinyNet; did you mean 'mixed'",
        ),
        ({"teacher": {"attr": "logit_list", "index": 5}}, "teacher", "a list of 1 has no index 5"),
        ({"connector": {"type": "ConvBNReLU"}}, "connector.type", "unknown connector 'ConvBNReLU'"),
        ({"connector": {"type": "ConvConnector", "kernel_size": 2}}, "connector", "kernel_size must be odd"),
        ({"weight": -1}, "weight", "must be a number of 0 or above, or auto, not -1"),
        ({"schedule": {"start_iter": "x"}}, "schedule.start_iter", "must be a whole number of 0 or above"),
        ({"teacher_index": 1}, "teacher_index", "1, but the last of 1 teacher is 0"),
    ],
)
def test_a_wrong_entry_of_distill_features(distill, feature, key, told):
    section = {"features": [{**distilling.feature(), **feature}]}
    refused(distill(changes={"distill": section}), "student.yml:", f": distill.features.0.{key}: {told}")


def test_features_of_different_channels_without_a_connector(distill):
    feature = distilling.feature("body.0", "SegChannelwiseLoss", connector="none")
    result = distill(teacher={"width": 6}, changes={"distill": {"features": [feature]}})
    shapes = "the student's body.0 has shape [2, 4, 32, 32], the teacher's body.0 [2, 6, 32, 32]"
    refused(result, "distill.features.0.loss", shapes, "choose two of equal shape, or `connector: auto`")


def test_a_loss_that_needs_labels_and_gets_none(distill):
    changes = {"unlabeled_dataset": UNLABELED, "distill": {"unlabeled_share": 1}}
    features = {**changes["distill"], "features": [distilling.feature(loss=LABELS_NEEDED)]}
    told = "MemoryLoss needs labels, and with unlabeled_share 1 there are none"
    result = distill(changes={**changes, "distill": features})
    refused(result, "student.yml:", f"distill.features.0.loss.type: {told}")
    result = distill(changes={**changes, "distill_loss": {"types": [LABELS_NEEDED], "coef": [1]}})
    refused(result, "student.yml:", f"distill_loss.types.0.type: {told}")


def test_labels_that_are_no_maps(distill):
    """One class an image, which no loss can lay over a feature map."""
    dataset = {"type": "Digits"}
    changes = {
        "imports": ["tiny", "tutorial_model", "distilling"],
        "model": {"type": "TutorialModel"},
        "train_dataset": dataset,
        "val_dataset": dataset,
        "distill_loss": None,
        "num_classes": 10,
        "distill": {"features": [{"student": "conv1", "teacher": "body.0", "loss": LABELS_NEEDED}]},
    }
    names = {"layer": "conv1", "tensor": "reshape_out", "teacher_layer": "body.0", "teacher_tensor": "mixed"}
    result = distill("--no_eval", changes=changes, **names)
    refused(result, "distill.features.0.loss", "conv1_MemoryLoss", "needs labels")


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ({"teacher_weighting": "best"}, "distill.teacher_weighting: must be mean or confidence, not 'best'"),
        (
            {"teacher_weighting": "confidence"},
            "confidence weighs several teachers against each other, and there is one",
        ),
        ({"unlabeled_share": 0.5}, "distill.unlabeled_share: has no effect without unlabeled_dataset"),
        ({"feature": []}, "distill.feature: unknown key 'feature'; did you mean 'features'?"),
    ],
)
def test_a_wrong_distill_section(distill, section, told):
    refused(distill(changes={"distill": section}), "student.yml:", told)


def test_unlabelled_images_that_do_not_fit(distill, tmp_path):
    import cv2

    (tmp_path / "wide").mkdir()
    for i in range(4):
        cv2.imwrite(str(tmp_path / "wide" / f"{i}.png"), np.zeros((tiny.SIZE, 40, 3), "uint8"))
    dataset = {**UNLABELED, "dataset_root": str(tmp_path / "wide")}
    refused(distill(changes={"unlabeled_dataset": dataset}), "a batch has samples of different shapes, 'img'")
    refused(
        distill(changes={"unlabeled_dataset": {**UNLABELED, "dataset_root": "no"}}), "'no' is not a folder"
    )


def test_teachers_and_their_opts(distill, tmp_path):
    teachers = [str(tmp_path / "teacher.yml"), str(tmp_path / "teacher.yml")]
    opts = ["--teacher_opts", "model.num_classes=2"]
    refused(distill("--teacher_config", *teachers, *opts), "--teacher_opts is given 1 time for 2 teachers")
    result = distill("--teacher_config", *teachers, *opts, "--teacher_opts", "model.pretrained=None")
    refused(result, "model.pretrained is empty")
