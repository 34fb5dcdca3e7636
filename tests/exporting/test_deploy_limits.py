"""Transforms, shapes and classes that deploy/infer.py cannot handle are reported at export."""

import os

import pytest
import tiny
from exporting import MODEL, export, model_of, with_transforms

from paddleseg.errors import UserError


@pytest.mark.parametrize(
    ("transform", "warning"),
    [
        ({"type": "ResizeByShort", "short_size": 8}, None),
        ({"type": "Resize", "interp": "RANDOM"}, "cannot do Resize as"),
        ({"type": "Padding", "target_size": [64, 64]}, "cannot do Padding as"),
    ],
)
def test_transforms_that_infer_lacks_cause_a_warning(tmp_path, trained, lines, transform, warning):
    export(with_transforms(tmp_path, trained, transform, {"type": "Normalize"}), tmp_path / "out")
    warnings = [line for line in lines if "deploy/infer.py cannot" in line]
    assert len(warnings) == bool(warning)
    assert (warning or "") in "".join(warnings)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ([{"type": "Normalize"}], r"c\.yml:\d: export: must hold `transforms`"),
        ({"transfroms": [{"type": "Normalize"}]}, r"c\.yml:\d: export.*transfroms"),
        ({"transforms": "x"}, r"c\.yml:\d: export\.transforms"),
        ({"transforms": [{"type": "Resize", "target_size": [0, 0]}]}, r"export\.transforms\.0.*target_size"),
    ],
)
def test_the_section_of_the_export_is_checked(tmp_path, trained, section, message):
    config = tiny.write_yaml(tmp_path / "c.yml", {"export": section, "_base_": trained[0]})
    with pytest.raises(UserError, match=message):
        export((config, *trained[1:]), tmp_path / "out")
    assert not os.path.exists(tmp_path / "out")


@pytest.mark.parametrize(
    ("shape", "warnings"),
    [
        ([2, 3, 32, 32], ["one image at a time, not 2", "that are not 32 x 32"]),
        ([1, 3, 32, -1], ["that are not -1 x 32"]),
        ([1, 3, 24, -1], []),
        ([1, 3, 24, 40], []),
        ([-1, 3, -1, -1], []),
    ],
)
def test_shapes_that_infer_refuses_cause_a_warning(tmp_path, trained, lines, shape, warnings):
    transforms = [{"type": "Resize", "target_size": [40, 24]}, {"type": "Normalize"}]
    export(with_transforms(tmp_path, trained, *transforms), tmp_path / "out", input_shape=shape)
    logged = [line for line in lines if line.startswith("input_shape: deploy/infer.py")]
    assert len(logged) == len(warnings)
    assert all(part in line for part, line in zip(warnings, logged))


def test_transforms_of_training_are_refused(tmp_path, trained):
    given = with_transforms(tmp_path, trained, {"type": "RandomHorizontalFlip"}, {"type": "Normalize"})
    with pytest.raises(UserError, match="transforms of a deployment: RandomHorizontalFlip moves"):
        export(given, tmp_path / "out")


def test_more_classes_than_a_mask_holds_cause_a_warning(tmp_path, lines):
    export(model_of(tmp_path, {**MODEL, "num_classes": 300}), tmp_path / "out")
    assert any("has 300 classes, but a mask of deploy/infer.py holds 256" in line for line in lines)
