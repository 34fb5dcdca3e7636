"""deploy/deploy_file.py: what a deploy.yaml must hold."""

import pytest
import tiny


@pytest.fixture
def deploy_file(deployment):
    """deploy/deploy_file.py, as a module."""
    return deployment("deploy_file")


@pytest.fixture
def read(tmp_path, deploy_file):
    """A function that writes a deploy.yaml with the given keys and reads it."""

    def read(**deploy):
        return deploy_file.read_deploy_file(tiny.write_yaml(tmp_path / "deploy.yaml", {"Deploy": deploy}))

    return read


def test_an_input_shape_that_no_image_has_is_refused(deploy_file):
    shape = deploy_file.input_shape
    assert (shape({"input_shape": [-1, 1, -1, -1]})[1], shape({})[1]) == (1, 3)
    assert shape({"input_shape": [1, 4, 32, 32]})[1] == 4
    with pytest.raises(deploy_file.UserError, match="input_shape must name the channels, not -1"):
        shape({"input_shape": [1, -1, 32, 32]})
    with pytest.raises(
        deploy_file.UserError, match="input_shape must be N, C, H and W, whole numbers, not 'x'"
    ):
        shape({"input_shape": "x"})
    with pytest.raises(deploy_file.UserError, match="the model takes 2 images at once"):
        shape({"input_shape": [2, 3, 32, 32]})


@pytest.mark.parametrize(
    ("deploy", "message"),
    [
        ({"model": "model.json"}, "lacks params, the file of the weights"),
        ({"model": None, "params": "p"}, "is not a deploy.yaml"),
        ({"model": 5}, "is not a deploy.yaml"),
        ({"model": "m.onnx", "params": 5}, "is not a deploy.yaml"),
        ({"model": "m.onnx", "sha256": ["a"]}, "is not a deploy.yaml"),
        (
            {"model": "../m.onnx"},
            "names '../m.onnx'; the model's files must be in the folder of the deploy.yaml",
        ),
        ({"model": "m.json", "params": "/p"}, "names '/p'; the model's files must be in the folder"),
        ({"model": "m.onnx", "num_classes": 300}, "the model has 300 classes, but a mask holds 256"),
    ],
)
def test_wrong_values_are_refused(read, deploy_file, deploy, message):
    with pytest.raises(deploy_file.UserError, match=message):
        read(transforms=[], **deploy)


def test_a_file_that_is_nested_too_deeply_is_refused(tmp_path, deploy_file):
    (tmp_path / "deploy.yaml").write_text("[" * 5000, encoding="utf-8")
    with pytest.raises(deploy_file.UserError, match="is not a deploy.yaml"):
        deploy_file.read_deploy_file(str(tmp_path / "deploy.yaml"))


def test_weights_are_needed_except_for_onnx(read, deploy_file):
    with pytest.raises(deploy_file.UserError, match="lacks model, transforms"):
        read(params="p")
    assert read(model="model.onnx", transforms=[]) == {"model": "model.onnx", "transforms": []}
