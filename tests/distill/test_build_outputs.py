"""Distillations of models with auxiliary outputs, each output with its own loss."""

import numpy as np
import pytest
from distilling import logged_losses
from running import arrays

from paddleseg.errors import UserError

BACKBONE = {"type": "MobileNetV2_x0_25"}
LITE = {"type": "PPLiteSeg", "backbone_indices": [1, 2, 3], "cm_out_ch": 8, "arm_out_chs": [8]}
PSP = {"type": "PSPNet", "pp_out_channels": 8}
DEEPLAB = {"type": "DeepLabV3P", "aspp_out_channels": 8}


def model(section):
    return {"num_classes": 2, "backbone": BACKBONE, **section}


def losses(kind, coef):
    return {"types": [{"type": kind}], "coef": coef}


@pytest.fixture
def distill_sections(distill, teacher):
    """Distil one section `model` into another's for four iterations; returns the folder of the run."""

    def run(student, teacher_section, coef, distill_coef):
        return distill(
            teachers=[teacher(model=model(teacher_section))],
            options={"distill_config": None},
            model=model(student),
            loss=losses("CrossEntropyLoss", coef),
            distill_loss=losses("KLLoss", distill_coef),
        )

    return run


CASES = {
    "three outputs under one": (LITE, DEEPLAB, [1, 1, 1], [3]),
    "three outputs under those of a model of the same kind": (LITE, LITE, [1, 1, 1], [3]),
    "two outputs under two": (PSP, PSP, [1, 0.4], [3, 1]),
    "one output under two": (DEEPLAB, PSP, [1], [3]),
}


@pytest.mark.parametrize("case", CASES)
def test_each_output_has_its_loss(case, distill_sections):
    student, teacher, coef, distill_coef = CASES[case]
    folder = distill_sections(student, teacher, coef, distill_coef)
    names = list(logged_losses(folder)[0])
    assert sum("CrossEntropyLoss" in name for name in names) == len(coef)
    assert sum("KLLoss" in name for name in names) == len(distill_coef)
    assert all(np.isfinite(value).all() for value in arrays(folder, "iter_4").values())


@pytest.mark.parametrize(
    ("coef", "distill_coef", "message"),
    [
        ([1], [3], "the model has 3 outputs and the config 1 loss for"),
        ([1, 1, 1], [3, 3, 3], "student and teacher share 1 output and the config 3 losses"),
    ],
)
def test_another_number_of_losses_is_refused(coef, distill_coef, message, distill_sections):
    with pytest.raises(UserError, match=message):
        distill_sections(LITE, DEEPLAB, coef, distill_coef)
