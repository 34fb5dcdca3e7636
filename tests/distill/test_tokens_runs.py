"""Distillation between a transformer and a convolutional network, under every engine and by a cache."""

import os

import numpy as np
import paddle
import pytest
import tiny
from distilling import logged_losses
from exporting import converts
from running import arrays

from paddleseg.commands.distill import teacher_configs
from paddleseg.core import runs
from paddleseg.cvlibs import Config
from paddleseg.errors import UserError

TRANSFORMER = {"type": "TinyTransformer", "num_classes": 2}
SILENT = {**TRANSFORMER, "says_grid": False}
WITH_CLASS = {**SILENT, "class_token": True}


def feature(student="body.0", teacher="block", **more):
    return {"student": student, "teacher": teacher, "loss": {"type": "FitNetLoss"}, **more}


@pytest.fixture
def distill(distill):
    """The fixture of that name without its distill_config.py, whose adaptors name layers of a `TinyNet`."""
    return lambda *features, options=None, **more: distill(
        *features, options={"distill_config": None, **(options or {})}, **more
    )


def weights(folder):
    return arrays(folder, "iter_4")


def same(one, other):
    return all(np.array_equal(value, other[key]) for key, value in one.items())


@pytest.mark.parametrize(
    ("model", "stated"),
    [
        pytest.param(TRANSFORMER, {}, id="the model says it"),
        pytest.param(SILENT, {"grid": "auto"}, id="auto"),
        pytest.param(WITH_CLASS, {"grid": [8, 8], "skip": 1}, id="stated with a class token"),
        pytest.param(WITH_CLASS, {"teacher": {"output_of": "block", "skip": 1}}, id="stated by the tap"),
    ],
)
def test_a_transformer_teaches_a_convolutional_network(distill, teacher, lines, model, stated):
    folder = distill(feature(**stated), teachers=[teacher(model=model)])
    losses = [part["body.0_FitNetLoss"] for part in logged_losses(folder)]
    assert len(losses) == 4
    assert min(losses) > 0
    assert any("the student's 32 x 32 and the teacher's 8 x 8 are resized" in line for line in lines)


def test_all_ways_to_state_a_grid_train_alike(distill, teacher):
    teachers = [teacher(model=TRANSFORMER)]
    said = distill(feature(), teachers=teachers)
    for i, stated in enumerate(({"grid": "auto"}, {"grid": [8, 8]})):
        assert same(weights(said), weights(distill(feature(**stated), teachers=teachers, name=f"run{i}")))


@pytest.mark.parametrize("static", [False, True])
def test_a_transformer_learns_from_a_convolutional_network(distill, teacher, static):
    if static and paddle.__version__.startswith("2."):
        pytest.skip("features in static graphs need Paddle 3")
    options = {"to_static_training": static}
    folders = [
        distill(feature("block", "body.0", **stated), model=model, name=name, options=options)
        for name, model, stated in (("said", TRANSFORMER, {}), ("auto", SILENT, {"grid": "auto"}))
    ]
    first, second = (logged_losses(folder)[-1]["block_FitNetLoss"] for folder in folders)
    assert first == pytest.approx(second, rel=1e-5)


def test_maps_are_cached(distill, teacher, tmp_path, lines):
    cached = {"teacher_cache": str(tmp_path / "cache"), "cache_views": 1, "cache_dtype": "float32"}
    for name, model, stated in (("a", TRANSFORMER, {}), ("b", WITH_CLASS, {"grid": "auto", "skip": 1})):
        teachers = [teacher(name, model=model)]
        first, second = (
            distill(feature(**stated), teachers=teachers, name=f"{name}{i}", options=cached) for i in "12"
        )
        assert same(weights(first), weights(second))
    assert len([line for line in lines if "16 of 16 rows (100.0%)" in line]) == 2


@converts
def test_an_exported_transformer_teaches_the_same(distill, teacher, tmp_path, monkeypatch):
    monkeypatch.setenv("PADDLESEG_HOME", str(tmp_path / "home"))
    for name, model, stated in (("a", TRANSFORMER, {}), ("b", WITH_CLASS, {"grid": "auto", "skip": 1})):
        teachers = [teacher(name, model=model)]
        ours, exported = (
            distill(
                feature(**stated), teachers=teachers, name=name + engine, options={"teacher_engine": engine}
            )
            for engine in ("paddle", "onnxruntime")
        )
        for key, value in weights(ours).items():
            np.testing.assert_allclose(weights(exported)[key], value, rtol=1e-3, atol=1e-4, err_msg=key)


@pytest.mark.parametrize(
    ("model", "stated", "message"),
    [
        (SILENT, {"grid": [7, 7]}, r"features.0.grid: .*64 tokens are not those of the grid 7 x 7"),
        (WITH_CLASS, {"grid": [8, 8]}, r"features.0.grid: .*65 tokens .* `skip: 1` drops 1 prefix"),
        (WITH_CLASS, {"grid": "auto"}, r"features.0.grid: .* has 65 tokens; `skip: 1` would leave 8 x 8"),
        (SILENT, {"skip": 1}, r"features.0.skip: .* no grid of images of 32 x 32 has 63 tokens; `skip: 0`"),
        (
            {**WITH_CLASS, "says_grid": True},
            {},
            r"features.0.teacher: .*65 tokens .* `skip: 1` drops 1 prefix",
        ),
        (
            SILENT,
            {"teacher": {"output_of": "block", "grid": [3, 3]}},
            r"features.0.teacher.grid: .*64 tokens are not those of the grid 3 x 3",
        ),
        (
            SILENT,
            {"teacher": {"output_of": "embed", "grid": [8, 8]}},
            r"features.0.teacher.grid: it is for tokens N x L x C, and the tensor is \[2, 6, 8, 8\]",
        ),
        (
            SILENT,
            {"teacher": "embed", "grid": [8, 8]},
            "features.0.grid: it is for tokens N x L x C, and neither tensor has that shape",
        ),
        (SILENT, {}, r"features.0.connector: .* shape \[2, 64, 6\]; `grid: auto` makes a map of tokens"),
        (SILENT, {"grid": [8]}, r"features.0.grid: must be \[height, width\], two whole numbers"),
        (SILENT, {"grid": "all"}, r"features.0.grid: must be \[height, width\], .*, or auto, not 'all'"),
        (SILENT, {"skip": -1}, "features.0.skip: must be a whole number of 0 or above"),
    ],
)
def test_what_does_not_fit_is_refused_at_start_with_file_and_key(distill, teacher, model, stated, message):
    with pytest.raises(UserError, match=rf"run.yml:\d+: distill.{message}"):
        distill(feature(**stated), teachers=[teacher(model=model)])


def test_the_list_of_taps_shows_maps(tmp_path, root, teacher):
    student = tiny.write_yaml(tmp_path / "s.yml", tiny.config(root, TRANSFORMER))
    text = runs.taps_table(Config(student), teacher_configs([teacher(model=WITH_CLASS)], None))
    rows = [" ".join(line.split()) for line in text.splitlines()]
    assert any(row.endswith("[1, 6, 8, 8] block") for row in rows)
    assert any(row.endswith("[1, 65, 6] block {grid: auto, skip: 1}: [1, 6, 8, 8]") for row in rows)


def write_onnx_tokens(path, prefix):
    """Write an ONNX file that gives tokens of 4 x 4 patches, behind their mean if `prefix`; return it."""
    onnx = pytest.importorskip("onnx")
    from onnx import helper, numpy_helper

    kernel = np.random.default_rng(3).standard_normal((5, 3, 4, 4)).astype("float32")
    constants = {"kernel": kernel, "shape": np.int64([0, 5, -1])}
    nodes = [
        helper.make_node("Conv", ["image", "kernel"], ["patches"], strides=[4, 4]),
        helper.make_node("Reshape", ["patches", "shape"], ["flat"]),
        helper.make_node("Transpose", ["flat"], ["body"], perm=[0, 2, 1]),
        helper.make_node("ReduceMean", ["body"], ["mean"], axes=[1]),
        helper.make_node("Concat", ["mean", "body"] if prefix else ["body"], ["tokens"], axis=1),
    ]
    given = [helper.make_tensor_value_info("image", 1, ("N", 3, "H", "W"))]
    made = [helper.make_tensor_value_info("tokens", 1, ("N", "L", 5))]
    tensors = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "g", given, made, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.save_model(model, str(path))
    return str(path)


@pytest.fixture
def under_onnx(tmp_path, distill):
    """Distil a `TinyNet` by the tokens of an ONNX file without logits; returns the folder of the run."""
    pytest.importorskip("onnxruntime")

    def run(name, prefix, **stated):
        model = {"type": "ONNXTeacher", "path": write_onnx_tokens(tmp_path / f"{name}.onnx", prefix)}
        model["outputs"] = {"taps": {"deep": "tokens"}}
        path = tiny.write_yaml(tmp_path / f"{name}_teacher.yml", {"model": model})
        return distill(feature(teacher="deep", **stated), teachers=[path], name=name, distill_loss=None)

    return run


def test_tokens_of_an_onnx_file_teach(under_onnx):
    plain, with_class = (
        under_onnx("plain", False, grid="auto"),
        under_onnx("prefix", True, grid="auto", skip=1),
    )
    assert same(weights(plain), weights(with_class))
    assert logged_losses(plain)[0]["body.0_FitNetLoss"] > 0
    assert os.path.isdir(os.path.join(plain, "iter_4"))
    with pytest.raises(UserError, match="left.yml:.*distill.features.0.grid: .*`skip: 1` would leave 8 x 8"):
        under_onnx("left", True, grid="auto")
