"""Whole distillations as a config declares them, within this process."""

import os

import cv2
import distilling
import numpy as np
import pytest
import tiny
import yaml
from distilling import logged_losses
from running import arrays, assert_same

from paddleseg.commands.distill import teacher_configs
from paddleseg.core import runs
from paddleseg.cvlibs import Config
from paddleseg.errors import UserError
from paddleseg.models import DeepLabV3P
from paddleseg.models.backbones import ResNet18_vd

CONFIGS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "configs")


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """A folder of images without masks."""
    folder = tmp_path_factory.mktemp("photographs")
    rng = np.random.default_rng(4)
    for i in range(6):
        cv2.imwrite(str(folder / f"{i}.png"), rng.integers(0, 255, (tiny.SIZE, tiny.SIZE, 3), "uint8"))
    return str(folder)


def weights(folder, iteration=4):
    return arrays(folder, f"iter_{iteration}")


def differ(one, other):
    return any((value != other[key]).any() for key, value in one.items())


def test_models_of_other_width_and_stride_are_distilled_by_config_alone(tmp_path, root, lines, repository):
    folder = str(tmp_path / "out")
    tiny.distill(
        student_config=os.path.join(CONFIGS, "student_os16.yml"),
        teacher_config=[os.path.join(CONFIGS, "teacher_os8.yml")],
        distill_config=str(repository / "slim/distill/distill_config.py"),
        allow_random_teacher=True,
        save_dir=folder,
        opts=[f"train_dataset.dataset_root={root}"],
    )
    resized = [line for line in lines if "are resized bilinearly to 2 x 2" in line]
    assert len(resized) == 2
    first, second = logged_losses(folder)
    assert list(first)[3:] == ["head.aspp.conv_bn_relu_SegChannelwiseLoss", "backbone_-1_L2Loss"]
    assert all(value > 0 for value in (*first.values(), *second.values()))
    student = DeepLabV3P(2, ResNet18_vd(output_stride=16), aspp_out_channels=16)
    assert set(weights(folder, 2)) == set(student.state_dict())


def test_adaptors_and_config_together(distill):
    features = [
        distilling.feature("body.0", "SegChannelwiseLoss", weight=2),
        distilling.feature({"attr": "mixed"}),
        distilling.feature({"input_of": "heads.0"}, "RKDLoss"),
        distilling.feature("body.0"),
        distilling.feature("body.0"),
    ]
    folder = distill(*features, distill_file=[tiny.feature(0), tiny.feature(1, "L1Loss")])
    first = logged_losses(folder)[0]
    assert list(first) == [
        "loss",
        "CrossEntropyLoss",
        "KLLoss",
        "hidden_0_SegChannelwiseLoss",
        "hidden_1_L1Loss",
        "body.0_SegChannelwiseLoss",
        "mixed_L2Loss",
        "heads.0_input_RKDLoss",
        "body.0_L2Loss_0",
        "body.0_L2Loss_1",
    ]
    single = first["hidden_0_SegChannelwiseLoss"]
    assert first["body.0_SegChannelwiseLoss"] == pytest.approx(2 * single, rel=1e-3)


def test_a_connector_is_trained_and_not_saved_with_the_student(distill, teacher):
    feature = distilling.feature(connector={"type": "KeptConnector"})
    frozen = {"type": "PolynomialDecay", "learning_rate": 0.0}
    folder = distill(feature, teachers=[teacher(width=6)], lr_scheduler=frozen, name="frozen")
    start = distilling.built[-1].conv.weight.numpy()
    trained = distill(feature, teachers=[teacher(width=6)])
    connector = distilling.built[-1].conv.weight
    assert connector.shape == [6, 4, 1, 1]
    assert np.abs(connector.numpy() - start).max() > 1e-4
    assert set(weights(folder)) == set(weights(trained)) == set(tiny.TinyNet().state_dict())


def test_trying_the_losses_leaves_no_trace_in_them(distill, teacher):
    feature = distilling.feature(connector={"type": "KeptConnector"}, schedule={"start_iter": 4})
    distill(feature, teachers=[teacher(width=6)])
    untrained = distilling.built[-1].conv.weight.numpy()
    distill(feature, teachers=[teacher(width=6)], name="other", optimizer={"type": "AdamW"})
    np.testing.assert_array_equal(distilling.built[-1].conv.weight.numpy(), untrained)


def test_a_resumed_schedule_goes_on_where_it_stopped(distill):
    schedule = {"start_iter": 1, "warmup_iters": 2, "end_iter": 3}
    feature = distilling.feature(schedule=schedule, weight=7)
    whole = distill(feature, name="whole")
    assert [part["body.0_L2Loss"] > 0 for part in logged_losses(whole)] == [False, True, True, False]
    rest = distill(feature, name="rest", options={"resume_model": os.path.join(whole, "iter_2")})
    assert_same(weights(whole), weights(rest))


@pytest.mark.parametrize("weighting", ["mean", "confidence"])
def test_two_teachers(distill, teacher, weighting):
    pair = [teacher("a"), teacher("other")]
    section = {"teacher_weighting": weighting}
    feature = distilling.feature(teacher_index=1)
    both = distill(feature, teachers=pair, section=section)
    assert "body.0_L2Loss" in logged_losses(both)[0]
    swapped = distill({**feature, "teacher_index": 0}, teachers=pair[::-1], section=section, name="swapped")
    for key, value in weights(both).items():
        np.testing.assert_allclose(weights(swapped)[key], value, rtol=1e-5, atol=1e-6, err_msg=key)
    alone = distill(feature, teachers=pair, section={"teacher_weighting": "mean"}, name="mean")
    assert differ(weights(both), weights(alone)) == (weighting == "confidence")


def test_each_teacher_has_its_own_opts(distill, teacher):
    pair = [teacher("a"), teacher("other")]
    opts = []
    for path in pair:
        with open(path, encoding="utf-8") as file:
            dic = yaml.safe_load(file)
        opts.append([f"model.pretrained={dic['model'].pop('pretrained')}"])
        tiny.write_yaml(path, dic)
    distill(teachers=pair, options={"teacher_opts": opts})
    with pytest.raises(UserError, match="--teacher_opts is given 1 time for 2 teachers"):
        distill(teachers=pair, options={"teacher_opts": opts[:1]})
    with pytest.raises(UserError, match="other.yml: model.pretrained is empty"):
        distill(teachers=pair, options={"teacher_opts": [opts[0], []]})


def unlabeled(photographs, **section):
    """Return the changes of a config that trains on images without masks as well."""
    dataset = {
        "type": "UnlabeledImages",
        "dataset_root": photographs,
        "transforms": [{"type": "RandomHorizontalFlip"}, {"type": "Normalize"}],
    }
    return {"unlabeled_dataset": dataset, "section": section}


def test_images_without_masks(distill, photographs):
    feature, changes = distilling.feature(), unlabeled(photographs, unlabeled_share=0.5)
    whole = distill(feature, name="whole", **changes)
    by_workers = distill(feature, name="workers", options={"num_workers": 1}, **changes)
    assert_same(weights(whole), weights(by_workers))
    resumed = {"resume_model": os.path.join(whole, "iter_2")}
    assert_same(weights(whole), weights(distill(feature, name="rest", options=resumed, **changes)))
    less = distill(feature, name="less", **unlabeled(photographs, unlabeled_share=0.25))
    assert differ(weights(whole), weights(less))
    memory = distill(feature, distilling.feature("body.1", "MemoryLoss"), name="memory", **changes)
    assert "body.1_MemoryLoss" in logged_losses(memory)[-1]


def test_unlabelled_images_alone_leave_the_task_out(distill, photographs):
    folder = distill(distilling.feature(), **unlabeled(photographs, unlabeled_share=1))
    assert list(logged_losses(folder)[0]) == ["loss", "KLLoss", "body.0_L2Loss"]


def test_plain_training_leaves_distillation_out(tmp_path, root, photographs):
    dic = tiny.config(root)
    photographs = unlabeled(photographs)["unlabeled_dataset"]
    more = {**dic, "distill": {"features": [distilling.feature()]}, "unlabeled_dataset": photographs}
    folders = []
    for name, config in (("plain", dic), ("more", more)):
        path = tiny.write_yaml(tmp_path / f"{name}.yml", {**config, "imports": ["tiny", "distilling"]})
        tiny.train(config=path, save_dir=str(tmp_path / name), no_eval=True)
        folders.append(weights(str(tmp_path / name)))
    assert_same(*folders)


LITE = {"type": "PPLiteSeg", "backbone_indices": [1, 2, 3], "cm_out_ch": 8, "arm_out_chs": [8]}
PSP = {"type": "PSPNet", "pp_out_channels": 8}
DEEPLAB = {"type": "DeepLabV3P", "aspp_out_channels": 8}


@pytest.mark.parametrize(
    ("student", "other", "coef", "distill_coef"),
    [
        pytest.param(LITE, DEEPLAB, [1, 1, 1], [3], id="three outputs under one"),
        pytest.param(LITE, LITE, [1, 1, 1], [3], id="three outputs under one of the same kind of model"),
        pytest.param(PSP, PSP, [1, 0.4], [3, 1], id="two outputs under two"),
        pytest.param(DEEPLAB, PSP, [1], [3], id="one output under two"),
    ],
)
def test_each_output_has_its_loss(student, other, coef, distill_coef, distill, teacher, tmp_path):
    shared = {"num_classes": 2, "backbone": {"type": "MobileNetV2_x0_25"}}
    path = tiny.write_distill_file(tmp_path / "outputs.py", [], "backbone.conv1", "logit_list[0]")
    folder = distill(
        teachers=[teacher(model={**shared, **other})],
        options={"distill_config": path},
        model={**shared, **student},
        loss={"types": [{"type": "CrossEntropyLoss"}], "coef": coef},
        distill_loss={"types": [{"type": "KLLoss"}], "coef": distill_coef},
    )
    names = list(logged_losses(folder)[0])
    assert sum("CrossEntropyLoss" in name for name in names) == len(coef)
    assert sum("KLLoss" in name for name in names) == len(distill_coef)
    assert all(np.isfinite(value).all() for value in weights(folder).values())


def test_the_taps_of_all_models_are_listed_without_weights(tmp_path, root, teacher):
    student = tiny.write_yaml(tmp_path / "student.yml", tiny.config(root))
    pair = [teacher("a"), teacher("wide", width=6)]
    os.remove(tmp_path / "a.pdparams")
    text = runs.taps_table(Config(student), teacher_configs(pair, None))
    rows = [" ".join(line.split()) for line in text.splitlines()]
    assert any(row.startswith("student, TinyNet of ") and "1 x 3 x 32 x 32" in row for row in rows)
    assert [row.split(",")[0] for row in rows if row.startswith("teacher")] == ["teacher 0", "teacher 1"]
    assert rows.count("A [1, 3, 32, 32] B [1, 4, 32, 32] body.0") == 2
    assert rows.count("A [1, 3, 32, 32] [1, 6, 32, 32] body.0") == 1
