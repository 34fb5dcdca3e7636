"""A teacher of another framework computes what it computed there, and each mistake in its config is named."""

import pathlib
import shutil
import sys

import numpy as np
import paddle
import pytest

from paddleseg.cvlibs import Config, SegBuilder
from paddleseg.distill.list_taps import find_taps
from paddleseg.distill.taps import Tap
from paddleseg.distill.teachers import Teacher
from paddleseg.distill.teachers.onnx_teacher import ONNXTeacher
from paddleseg.errors import UserError

pytest.importorskip("onnxruntime")
GOLDEN = pathlib.Path(__file__).parents[2] / "golden"
FILE = str(GOLDEN / "torch_teacher.onnx")
TORCH = np.load(GOLDEN / "torch_teacher.npz")
OF_TORCH = {"mean": (0.406, 0.456, 0.485), "std": (0.225, 0.224, 0.229), "channel_order": "bgr"}
OUTPUTS = {"logits": "logits", "taps": {"deep": "body"}}


def torch_teacher(**changes):
    return ONNXTeacher(**{"path": FILE, "num_classes": 2, "outputs": OUTPUTS, **OF_TORCH, **changes})


def pixels(mean, std):
    """Return the images of the figures as a student's `Normalize` leaves them."""
    mean, std = (np.array(values, "float32").reshape(1, -1, 1, 1) for values in (mean, std))
    return paddle.to_tensor((TORCH["pixels"].astype("float32") / 255 - mean) / std)


def close(tensor, expected):
    np.testing.assert_allclose(tensor.numpy(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "normalized",
    [((0.5,), (0.5,)), ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)), ((0.0,), (1 / 255,))],
)
def test_it_answers_what_pytorch_does_whatever_the_students_normalization(normalized):
    model = torch_teacher()
    model.set_input_normalization(*normalized)
    tap = Tap("output_of", "deep")
    teacher = Teacher(model, None, [(tap, "c.yml")])
    images = pixels(*normalized)
    (logits,), taps = teacher.at_head(images)
    close(logits, TORCH["logits"])
    close(taps[tap], TORCH["body"])
    (whole,), _ = teacher(images)
    assert whole.shape == [2, 2, 33, 46]
    close(whole, TORCH["whole"])
    assert whole.stop_gradient


def test_a_normalisation_of_four_channels_is_refused():
    with pytest.raises(UserError, match="takes RGB images; these are normalised by"):
        torch_teacher().set_input_normalization((0.5,) * 4, (0.5,) * 4)


def test_without_logits_it_gives_taps_alone():
    model = torch_teacher(outputs={"taps": {"deep": "body"}}, num_classes=None)
    model.set_input_normalization((0.0,), (1 / 255,))
    tap = Tap("output_of", "deep")
    teacher = Teacher(model, None, [(tap, "c.yml")])
    assert not teacher.gives_logits
    logits, taps = teacher(pixels((0.0,), (1 / 255,)))
    assert logits == []
    close(taps[tap], TORCH["body"])


def test_the_order_of_the_channels_counts():
    model = torch_teacher(channel_order="rgb")
    logits = model.head_logits(pixels((0.5,), (0.5,)))[0].numpy()
    assert np.abs(logits - TORCH["logits"]).max() > 0.01


def test_its_taps_are_listed():
    model = torch_teacher()
    taps = dict(find_taps(model, paddle.randn([1, 3, 32, 32])))
    assert taps[Tap("output_of", "deep")] == [1, 24, 8, 8]
    assert taps[Tap("attr", "logit_list", 0)] == [1, 2, 32, 32]
    with pytest.raises(UserError, match="ONNXTeacher has no sublayer 'body'"):
        Teacher(model, None, [(Tap("output_of", "body"), "c.yml")])


def test_the_content_of_the_file_is_its_identity(tmp_path):
    path = shutil.copy(FILE, tmp_path / "moved.onnx")
    assert torch_teacher(path=str(path)).digest == torch_teacher().digest
    content = pathlib.Path(FILE).read_bytes()
    changed = tmp_path / "changed.onnx"
    changed.write_bytes(content.replace(b"pytorch", b"PyTorch", 1))
    assert content != changed.read_bytes()
    assert torch_teacher(path=str(changed)).digest != torch_teacher().digest


def graph(
    path, shape=("N", 3, "H", "W"), out=("N", 2, "H", "W"), inputs=1, kind=1, external=False, bias=(1, 1)
):
    """Write an ONNX file that adds a constant to the first two channels of its input; return its path.

    Args:
        path: the file.
        shape, out: the declared shapes of input and output.
        inputs: how many inputs the graph declares.
        kind: ONNX's number of the dtype.
        external: whether the constant lies in another file, weights.bin.
        bias: height and width of the constant.
    """
    onnx = pytest.importorskip("onnx")
    from onnx import external_data_helper, helper, numpy_helper

    images = [helper.make_tensor_value_info(f"image{i}", kind, shape) for i in range(inputs)]
    given = [helper.make_tensor_value_info("logits", kind, out)]
    constants = {"from": np.int32([0]), "to": np.int32([2]), "axis": np.int32([1])}
    constants["bias"] = np.full([1, 2, *bias], 7, helper.tensor_dtype_to_np_dtype(kind))
    nodes = [
        helper.make_node("Slice", ["image0", "from", "to", "axis"], ["cut"]),
        helper.make_node("Add", ["cut", "bias"], ["logits"]),
    ]
    if len(out) == 2:
        nodes[1:] = [helper.make_node("ReduceMean", ["cut"], ["logits"], axes=[2, 3], keepdims=0)]
    tensors = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    model = helper.make_model(
        helper.make_graph(nodes, "g", images, given, tensors), opset_imports=[helper.make_opsetid("", 13)]
    )
    model.ir_version = 8
    if external:
        external_data_helper.set_external_data(model.graph.initializer[-1], "weights.bin")
    onnx.save_model(model, str(path))
    return str(path)


def test_weights_beside_the_file_are_part_of_its_identity(tmp_path):
    path = graph(tmp_path / "m.onnx", external=True)
    (tmp_path / "notes.txt").write_text("of no consequence")
    before = ONNXTeacher(path, 2).digest
    (tmp_path / "notes.txt").write_text("changed")
    assert ONNXTeacher(path, 2).digest == before
    content = bytearray((tmp_path / "weights.bin").read_bytes())
    content[-1] ^= 1
    (tmp_path / "weights.bin").write_bytes(content)
    assert ONNXTeacher(path, 2).digest != before


def test_a_fixed_batch_is_fed_part_by_part(tmp_path):
    images = paddle.randn([5, 3, 4, 6])
    expected = images.numpy()[:, :2] + 7
    for size in (1, 2, 5, 8):
        model = ONNXTeacher(graph(tmp_path / f"{size}.onnx", (size, 3, 4, 6), (size, 2, 4, 6)), 2)
        close(model.head_logits(images)[0], expected)
    with pytest.raises(UserError, match="takes only images of 8 x 3 x 4 x 6, and these are 4 x 8;"):
        model.head_logits(paddle.randn([5, 3, 4, 8]))


def test_images_that_the_graph_cannot_take_are_refused_in_one_line(tmp_path):
    model = ONNXTeacher(graph(tmp_path / "m.onnx", bias=(5, 7)), 2)  # free sizes are declared, wrongly
    with pytest.raises(UserError, match=r"m\.onnx: onnxruntime cannot run it on 1 x 3 x 4 x 6: .+") as caught:
        model.head_logits(paddle.randn([1, 3, 4, 6]))
    assert "\n" not in str(caught.value)


def test_grey_images_are_refused():
    with pytest.raises(UserError, match="takes RGB images, and the training's have 1 channel"):
        torch_teacher().head_logits(paddle.randn([1, 1, 32, 32]))


def test_the_classes_of_free_sizes_are_counted_when_it_runs(tmp_path):
    model = ONNXTeacher(graph(tmp_path / "m.onnx"), 2)
    model._num_classes = 3  # as if the file left the number of classes free
    with pytest.raises(UserError, match=r"its logits are \[1, 2, 4, 4\] and must be N x 3 x h x w"):
        model.head_logits(paddle.randn([1, 3, 4, 4]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"path": "nowhere.onnx"}, "path: there is no file nowhere.onnx"),
        ({"path": __file__}, r"test_onnx_teacher.py cannot be loaded by onnxruntime: .*"),
        ({"num_classes": 3}, "gives logits of shape .*, which must be N x 3 x h x w"),
        ({"outputs": None}, "has several: logits, body; name the one that holds"),
        ({"outputs": {"logits": "logit"}}, r"outputs.logits: .* has no output 'logit'; .*logits"),
        (
            {"outputs": {"logits": "logits", "taps": {"a": "bodi"}}},
            "outputs.taps.a: .* has no output 'bodi'; .*body",
        ),
        ({"outputs": {"taps": {}}}, "outputs: neither `logits` nor `taps` are named"),
        ({"outputs": {"logits": 3}}, "`logits` must name the output that holds the logits, not 3"),
        (
            {"outputs": {"taps": {"a": "bodi"}}, "num_classes": None},
            "outputs.taps.a: .* has no output 'bodi'",
        ),
        ({"num_classes": None}, "the key 'num_classes' is missing: the channels of the logits"),
        ({"outputs": {"logits": "logits", "tap": {}}}, "unknown key 'tap'"),
        ({"outputs": {"logits": "logits", "taps": ["body"]}}, "taps must hold `name: name of an output`"),
        (
            {"outputs": {"logits": "logits", "taps": {"logit_list": "body"}}},
            "'logit_list' cannot be the name",
        ),
        ({"mean": (0.5, 0.5)}, "mean must hold 1 or 3 numbers"),
        ({"std": (0.2, 0.0, 0.2)}, "std must hold no 0"),
    ],
)
def test_each_mistake_is_named(changes, message):
    with pytest.raises(UserError, match=message):
        torch_teacher(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs": 2}, "must have one input, N x 3 x H x W, and has 2: image0 .*, image1"),
        ({"shape": ("N", 4, "H", "W")}, "its input must be .* N x 3 x H x W, and is image0 .*4"),
        ({"kind": 10}, r"must be tensor\(float\) N x 3 x H x W, and is image0 tensor\(float16\)"),
        ({"out": ("N", 2)}, "gives logits of shape .*'N', 2.*, which must be N x 2 x h x w"),
    ],
)
def test_a_file_of_another_form_is_named(tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        ONNXTeacher(graph(tmp_path / "m.onnx", **changes), 2)


def test_without_onnxruntime_the_message_names_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match="onnxruntime is not installed: pip install onnxruntime"):
        torch_teacher()


CONFIG = f"model: {{type: ONNXTeacher, num_classes: 2, path: {FILE}, outputs: {{logits: logits}}}}\n"


def test_a_config_may_name_it_as_a_teacher_alone(tmp_path):
    path = tmp_path / "t.yml"
    path.write_text(CONFIG)
    cfg = Config(str(path), sections=("model",), as_teacher=True)
    assert isinstance(SegBuilder(cfg).model, ONNXTeacher)
    message = r"t.yml:1: model.type: ONNXTeacher can only be a teacher: name this config as teacher_config"
    with pytest.raises(UserError, match=message):
        Config(str(path), sections=("model",))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("mean: [0, 0]", "model: mean must hold 1 or 3 numbers"),
        ("channel_order: grb", "model.channel_order: must be"),
        ("outputs: {logit: logits}", "outputs: unknown key 'logit'"),
        ("outputs: [logits]", "model.outputs: must be"),
        ("outputs: {}", r"t.yml:1: model: outputs: neither `logits` nor `taps` are named"),
        ("size: 3", "unknown key 'size' of ONNXTeacher"),
    ],
)
def test_a_configs_mistakes_are_found_before_anything_is_built(tmp_path, arguments, message):
    path = tmp_path / "t.yml"
    path.write_text(f"model: {{type: ONNXTeacher, num_classes: 2, path: nowhere.onnx, {arguments}}}\n")
    with pytest.raises(UserError, match=message):
        Config(str(path), sections=("model",), as_teacher=True)
