"""What export.py tells of a deployment that cannot do everything."""

import os

import pytest
import tiny
from exporting import MODEL, flags

from paddleseg.cvlibs import Config, SegBuilder
from paddleseg.errors import UserError


@pytest.mark.parametrize(
    ("transforms", "told"),
    [
        ([{"type": "ResizeByShort", "short_size": 8}, {"type": "Normalize"}], None),
        ([{"type": "Resize", "interp": "RANDOM"}], "no way to do Resize as"),
        ([{"type": "Padding", "target_size": [64, 64]}, {"type": "Normalize"}], "no way to do Padding as"),
    ],
)
def test_transforms_that_a_deployment_lacks_are_told(tmp_path, trained, lines, transforms, told):
    config = tiny.write_yaml(tmp_path / "c.yml", {"_base_": trained[0], "export": {"transforms": transforms}})
    tiny.export(**flags((config, *trained[1:]), tmp_path / "out"))
    warned = [line for line in lines if "deploy/infer.py has" in line]
    assert len(warned) == bool(told)
    assert (told or "") in "".join(warned)


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ([{"type": "Normalize"}], r"c\.yml:\d: export: must hold `transforms`"),
        ({"transfroms": [{"type": "Normalize"}]}, r"c\.yml:\d: export.*transfroms"),
        ({"transforms": "x"}, r"c\.yml:\d: export\.transforms"),
        ({"transforms": [{"type": "Resize", "target_size": [0, 0]}]}, r"export\.transforms\.0.*target_size"),
    ],
)
def test_the_section_of_the_export_is_checked(tmp_path, trained, section, told):
    config = tiny.write_yaml(tmp_path / "c.yml", {"export": section, "_base_": trained[0]})
    with pytest.raises(UserError, match=told):
        tiny.export(**flags((config, *trained[1:]), tmp_path / "out"))
    assert not os.path.exists(tmp_path / "out")


@pytest.mark.parametrize(
    ("shape", "told"),
    [
        ([2, 3, 32, 32], ["gives a model one image at a time, not 2", "unless it is 32 x 32"]),
        ([1, 3, 32, -1], ["unless it is -1 x 32"]),
        ([1, 3, 24, -1], []),
        ([1, 3, 24, 40], []),
        ([-1, 3, -1, -1], []),
    ],
)
def test_shapes_that_a_deployment_refuses_are_told(tmp_path, trained, lines, shape, told):
    transforms = [{"type": "Resize", "target_size": [40, 24]}, {"type": "Normalize"}]
    config = tiny.write_yaml(tmp_path / "c.yml", {"_base_": trained[0], "export": {"transforms": transforms}})
    tiny.export(**flags((config, *trained[1:]), tmp_path / "out", input_shape=shape))
    warned = [line for line in lines if line.startswith("--input_shape: deploy/infer.py")]
    assert len(warned) == len(told)
    assert all(part in line for part, line in zip(told, warned))


def test_transforms_of_training_are_refused(tmp_path, trained):
    transforms = [{"type": "RandomHorizontalFlip"}, {"type": "Normalize"}]
    config = tiny.write_yaml(tmp_path / "c.yml", {"_base_": trained[0], "export": {"transforms": transforms}})
    with pytest.raises(UserError, match="transforms of a deployment: RandomHorizontalFlip moves"):
        tiny.export(**flags((config, *trained[1:]), tmp_path / "out"))


def test_more_classes_than_a_mask_holds_are_told(tmp_path, lines):
    model = {**MODEL, "num_classes": 300}
    config = tiny.write_yaml(tmp_path / "c.yml", {"model": model})
    network = SegBuilder(Config(config, sections=("model",))).model
    weights = tiny.save_weights(tmp_path / "w.pdparams", network)
    tiny.export(**flags((config, weights, None), tmp_path / "out"))
    assert any("300 classes apart, but a mask of deploy/infer.py holds 256" in line for line in lines)
