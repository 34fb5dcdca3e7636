"""Models with auxiliary outputs train, and are distilled, each output with its own loss."""

import os
import re

import numpy as np
import paddle
import pytest
import tiny

from paddleseg.cvlibs import manager
from paddleseg.cvlibs.builder import build_component
from paddleseg.errors import UserError

BACKBONE = {"type": "MobileNetV2_x0_25"}
LITE = {"type": "PPLiteSeg", "backbone_indices": [1, 2, 3], "cm_out_ch": 8, "arm_out_chs": [8]}
PSP = {"type": "PSPNet", "pp_out_channels": 8}
DEEPLAB = {"type": "DeepLabV3P", "aspp_out_channels": 8}


def model(section):
    return {"num_classes": 2, "backbone": BACKBONE, **section}


def losses(kind, coef):
    return {"types": [{"type": kind}], "coef": coef}


def distill(tmp_path, root, student, teacher, coef, distill_coef):
    """Distil one model section into another for four iterations; return the folder of the run."""
    paddle.seed(5)
    given = build_component(model(teacher), manager.MODELS, "model")
    path = tiny.save_weights(tmp_path / "teacher.pdparams", given)
    dic = tiny.config(root, model(student), loss=losses("CrossEntropyLoss", coef))
    dic["distill_loss"] = losses("KLLoss", distill_coef)
    arguments = {
        "student_config": tiny.write_yaml(tmp_path / "student.yml", dic),
        "teacher_config": tiny.write_yaml(
            tmp_path / "teacher.yml", {"model": {**model(teacher), "pretrained": path}}
        ),
        "distill_config": tiny.write_distill_file(tmp_path / "d.py", [], "backbone.conv1", "logit_list[0]"),
        "save_dir": str(tmp_path / "distilled"),
    }
    tiny.distill(**arguments)
    return arguments.save_dir


def logged_parts(lines):
    """Return the names of the losses in the first line of training."""
    line = next(line for line in lines if line.startswith("[TRAIN]"))
    return re.findall(r"(\w*(?:CrossEntropy|KL)Loss\w*): ", line)


CASES = {
    "three outputs under one": (LITE, DEEPLAB, [1, 1, 1], [3]),
    "three outputs under those of a model of the same kind": (LITE, LITE, [1, 1, 1], [3]),
    "two outputs under two": (PSP, PSP, [1, 0.4], [3, 1]),
    "one output under two": (DEEPLAB, PSP, [1], [3]),
}


@pytest.mark.parametrize("case", CASES)
def test_each_output_has_its_loss(case, tmp_path, root, lines):
    student, teacher, coef, distill_coef = CASES[case]
    folder = distill(tmp_path, root, student, teacher, coef, distill_coef)
    parts = logged_parts(lines)
    assert len([name for name in parts if "CrossEntropyLoss" in name]) == len(coef)
    assert len([name for name in parts if "KLLoss" in name]) == len(distill_coef)
    weights = paddle.load(os.path.join(folder, "iter_4", "model.pdparams"), return_numpy=True)
    assert all(np.isfinite(value).all() for value in weights.values())


@pytest.mark.parametrize(
    ("coef", "distill_coef", "told"),
    [
        ([1], [3], "the model has 3 outputs and the config 1 loss for"),
        ([1, 1, 1], [3, 3, 3], "student and teacher share 1 output and the config 3 losses"),
    ],
)
def test_another_number_of_losses_is_refused(coef, distill_coef, told, tmp_path, root, lines):
    with pytest.raises(UserError, match=told):
        distill(tmp_path, root, LITE, DEEPLAB, coef, distill_coef)
