"""Weights are loaded only into the layer that they fit."""

import json
import pickle
import struct

import numpy as np
import paddle
import paddle.nn as nn
import pytest
import safetensors.numpy
from refusal import refusal

from paddleseg.weights.load import load_backbone_weights, load_weights, read_weights


def layer():
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1D(3))


def values(of):
    return {key: value.numpy().copy() for key, value in of.state_dict().items()}


def fitting():
    """Return arrays that fit `layer()`, all of them different."""
    return {key: np.full_like(value, i + 0.5) for i, (key, value) in enumerate(values(layer()).items())}


@pytest.fixture
def saved(tmp_path):
    """A function that writes a dict as a file of weights and returns its path."""

    def saved(weights, name="w.pdparams"):
        path = tmp_path / name
        path.write_bytes(weights if isinstance(weights, bytes) else pickle.dumps(weights, protocol=2))
        return str(path)

    return saved


def refused(capsys, path, load=load_weights):
    """Load weights that do not fit; return the message, having seen that the layer is as it was."""
    target = layer()
    before = values(target)
    message = refusal(capsys, lambda: load(target, path))
    after = values(target)
    assert all(np.array_equal(before[key], after[key]) for key in before)
    assert "\n" not in message
    return message


def loads(path, expected, load=load_weights):
    target = layer()
    load(target, path)
    for key, value in values(target).items():
        np.testing.assert_array_equal(value, expected[key].astype("float32"))
        assert value.dtype == np.float32


def test_weights_as_paddle_saves_them(tmp_path, capsys):
    given, path = layer(), str(tmp_path / "x.pdparams")
    paddle.save(given.state_dict(), path)
    loads(path, values(given))
    assert f"Sequential: 6 weights loaded from {path}" in capsys.readouterr().out


def test_a_folder_stands_for_its_file_of_weights(saved, tmp_path):
    saved(fitting(), "model.pdparams")
    loads(str(tmp_path), fitting())


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_another_precision_is_converted(saved, dtype):
    loads(saved({key: value.astype(dtype) for key, value in fitting().items()}), fitting())


def test_paddles_table_of_names_is_ignored(saved):
    loads(saved({**fitting(), "StructuredToParameterName@@": {"0.weight": "linear_0.w_0"}}), fitting())


def test_everything_that_does_not_fit_is_named(saved, capsys):
    weights = fitting()
    del weights["1._mean"]
    weights["1.weight"] = weights["1.weight"][:2]
    weights["head.weight"] = np.zeros(1, "float32")
    weights["1.bias"] = np.zeros(3, "int64")
    path = saved(weights)
    assert refused(capsys, path) == (
        f"the weights in {path} are not those of Sequential: missing keys: 1._mean; unexpected keys: "
        "head.weight; wrongly shaped keys: 1.weight [2] instead of [3]; "
        "wrongly typed keys: 1.bias int64 instead of float32"
    )


def test_many_keys_are_counted(saved, capsys):
    target = nn.LayerList([nn.Linear(1, 1) for _ in range(20)])
    path = saved({f"{i}.weight": np.zeros((1, 1), "float32") for i in range(20)})
    listed = ", ".join(f"{i}.bias" for i in range(8))
    message = refusal(capsys, lambda: load_weights(target, path))
    assert message.endswith(f"LayerList: missing keys: {listed} and 12 more")


def test_the_message_calls_another_models_weights_so_first(saved, capsys):
    weights = {**fitting(), **{f"more.{i}": np.zeros(1, "float32") for i in range(7)}}
    assert refused(capsys, saved(weights)).endswith(
        "are not those of Sequential: they look like another model's (6 of its 6 keys fit, of 13 there); "
        "unexpected keys: more.0, more.1 and 5 more"
    )
    weights = {**fitting(), "0.weight": np.zeros((5, 3), "float32")}
    del weights["1.weight"], weights["1.bias"], weights["1._mean"]
    message = refused(capsys, saved(weights))
    assert (
        "they look like another model's (2 of its 6 keys fit, of 3 there); missing keys: 1.weight, 1.bias"
        in message
    )
    assert "and 1 more; wrongly shaped" in message


def test_bfloat16_is_not_loaded_as_float32(tmp_path, capsys):
    path = str(tmp_path / "w.pdparams")
    paddle.save({key: paddle.to_tensor(value).astype("bfloat16") for key, value in fitting().items()}, path)
    assert "wrongly typed keys: 0.weight uint16 instead of float32" in refused(capsys, path)


@pytest.mark.parametrize("prefix", ["fc.", "out.", "classifier.", "_fc."])
def test_a_backbone_ignores_the_classifier(saved, prefix, capsys):
    weights = {**fitting(), f"{prefix}weight": np.zeros((3, 1000), "float32")}
    loads(saved(weights), fitting(), load_backbone_weights)
    assert f"(without its {prefix}weight)" in capsys.readouterr().out
    assert f"unexpected keys: {prefix}weight" in refused(capsys, saved(weights))


def test_a_backbone_ignores_nothing_else(saved, capsys):
    path = saved({**fitting(), "fc.weight": np.zeros(1), "neck.weight": np.zeros(1)})
    assert refused(capsys, path, load_backbone_weights).endswith("Sequential: unexpected keys: neck.weight")


def test_a_layers_own_classifier_is_loaded(saved):
    target = nn.LayerDict({"fc": nn.Linear(1, 1)})
    weights = {"fc.weight": np.full((1, 1), 7, "float32"), "fc.bias": np.zeros(1, "float32")}
    load_backbone_weights(target, saved(weights))
    assert float(target["fc"].weight) == 7


def test_a_missing_file_is_refused(tmp_path, capsys):
    assert refused(capsys, "no/such.pdparams") == "no file of weights at no/such.pdparams"
    assert refused(capsys, str(tmp_path)) == f"no file of weights at {tmp_path / 'model.pdparams'}"


@pytest.mark.parametrize("name", ["w.pdparams", "w.pth"])
@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "it is empty"),
        (b"<html>404</html>\n<p>", "it is a text that begins with '<html>404</html>'"),
        (b"version https://git-lfs.github.com/spec/v1\n", "it is a pointer of Git LFS; git lfs pull fetches"),
        (b"\x89PNG\r\n\x1a\n", "neither paddle.save nor torch.save wrote it"),
    ],
)
def test_a_file_of_another_kind_is_refused(saved, capsys, content, what, name):
    path = saved(content, name)
    assert refused(capsys, path).startswith(f"{path} cannot be read as weights: {what}")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "holds a list, not a dict of weights"),
        ({"a": {"b": 1}, "c": "text"}, "holds other things than named arrays: a, c"),
        ({0: np.zeros(1, "float32")}, "holds other things than named arrays: 0"),
        ({"w": [[1], [1, 2]]}, "holds other things than named arrays: w"),
    ],
)
def test_a_file_of_something_else_is_refused(saved, capsys, content, message):
    path = saved(content)
    assert refused(capsys, path) == f"{path} {message}"


def test_the_state_of_an_optimizer_is_refused(tmp_path, capsys):
    path = str(tmp_path / "model.pdopt")
    schedule = paddle.optimizer.lr.PolynomialDecay(0.1, 5)
    paddle.save(paddle.optimizer.SGD(schedule, parameters=layer().parameters()).state_dict(), path)
    assert "named arrays: LR_Scheduler" in refused(capsys, path)


def test_safetensors(tmp_path, capsys):
    given = {**fitting(), "more": np.zeros((0, 2), "int64"), "flag": np.array(True)}
    path = str(tmp_path / "model.safetensors")
    safetensors.numpy.save_file(given, path)
    for source in (path, str(tmp_path)):
        read = read_weights(source)
        assert read.keys() == given.keys()
        assert all(read[k].dtype == v.dtype and np.array_equal(read[k], v) for k, v in given.items())
    safetensors.numpy.save_file(fitting(), path)
    loads(path, fitting())
    with open(path, "r+b") as file:
        file.truncate(90)
    assert refused(capsys, path).startswith(f"{path} cannot be read as weights: ")


def test_safetensors_of_types_that_numpy_lacks(tmp_path, capsys):
    path = str(tmp_path / "w.safetensors")
    bits = (np.float32([1, -2.5, 0]).view("uint32") >> 16).astype("uint16")
    of_paddle = paddle.to_tensor([1, -2.5, 0]).astype("bfloat16").numpy()
    for dtype, data in (("BF16", bits.tobytes()), ("F8_E4M3", bytes(3))):
        tensors = {"w": {"dtype": dtype, "shape": [3], "data_offsets": [0, len(data)]}}
        header = json.dumps(tensors).encode()
        with open(path, "wb") as file:
            file.write(struct.pack("<Q", len(header)) + header + data)
        if dtype == "BF16":
            np.testing.assert_array_equal(read_weights(path)["w"], of_paddle)
        else:
            assert refused(capsys, path) == f"{path} holds w as F8_E4M3, which NumPy does not have"


def test_a_pickle_named_safetensors_is_not_run(tmp_path, capsys):
    path = tmp_path / "w.safetensors"
    path.write_bytes(pickle.dumps(fitting()))
    assert "cannot be read as weights" in refused(capsys, str(path))


def test_weights_from_a_url_are_downloaded_once(saved, site):
    saved(fitting(), "site/model.pdparams")
    loads(f"{site.url}/model.pdparams", fitting())
    loads(f"{site.url}/model.pdparams", fitting())
    assert site.requested == ["/model.pdparams"]


def test_a_url_without_weights_is_refused(saved, site, capsys):
    message = refused(capsys, f"{site.url}/none.pdparams")
    assert message.startswith(f"cannot download {site.url}/none.pdparams: ")
    assert "404" in message
    saved(b"<html>please log in</html>", "site/page.pdparams")
    assert "cannot be read as weights" in refused(capsys, f"{site.url}/page.pdparams")
