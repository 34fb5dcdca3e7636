"""paddleseg/quantization/scoring.py: what it refuses; test_ptq.py looks at its scores and masks."""

import os

import pytest
import tiny
from exporting import OwnScans, converts
from onnx_models import float_file

from paddleseg.cvlibs import Config, SegBuilder
from paddleseg.errors import UserError
from paddleseg.quantization.scoring import Scorer

pytestmark = converts
DEPLOY = {"Deploy": {"model": "model.onnx", "transforms": [{"type": "Normalize"}], "output_op": "none"}}


@pytest.fixture
def dataset(tmp_path):
    config = tiny.write_yaml(tmp_path / "c.yml", tiny.config(tiny.write_optic_disc(tmp_path / "data", val=3)))
    return SegBuilder(Config(config, sections=("val_dataset",))).val_dataset


def test_some_images_are_spread_over_the_data_set(dataset, tmp_path):
    float_file(tmp_path / "model.onnx")
    tiny.write_yaml(tmp_path / "deploy.yaml", DEPLOY)
    scorer = Scorer(dataset, most=2)
    assert scorer.indices == [0, 2]
    assert 0 <= scorer.score(str(tmp_path), str(tmp_path / "masks")).miou < 1
    masks = sorted(name for name in os.listdir(tmp_path / "masks") if "color" not in name)
    assert masks == ["000000.png", "000002.png"]
    assert scorer.agreement(str(tmp_path / "masks"), str(tmp_path / "masks")) == 1


def test_what_infer_py_refuses_is_one_line_with_the_users_names(dataset, tmp_path):
    float_file(tmp_path / "model.onnx")
    tiny.write_yaml(tmp_path / "deploy.yaml", DEPLOY)
    image = dataset.file_list[1][0]
    with open(image, "wb") as file:
        file.write(b"no image")
    with pytest.raises(UserError) as refused:
        Scorer(dataset).score(str(tmp_path), str(tmp_path / "masks"))
    assert str(refused.value).startswith(
        f"deploy/infer.py cannot make the masks of val_dataset: skipped {image}: it is cut off, or not an "
    )
    (tmp_path / "model.onnx").unlink()
    with pytest.raises(UserError, match=r"val_dataset: there is no file .*model\.onnx, which the deploy"):
        Scorer(dataset).score(str(tmp_path), str(tmp_path / "masks"))


def test_a_users_own_class_of_data_sets_is_refused():
    with pytest.raises(UserError, match="cannot read a OwnScans; use a class that derives from"):
        Scorer(OwnScans(3))
