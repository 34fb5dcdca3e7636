"""deploy/engines.py: missing libraries and files, and what the processor needs."""

import platform
import shutil
import sys
import types

import numpy as np
import paddle
import pytest
from exporting import FORMATS, converts, deploy_section, export

from paddleseg.utils import cpu


@pytest.fixture(scope="module", params=FORMATS)
def exported(request, tmp_path_factory, trained):
    """The folder of an exported model of either format."""
    folder = tmp_path_factory.mktemp(request.param)
    export(trained, folder, format=request.param)
    return folder


@pytest.fixture
def engines(deployment):
    """deploy/engines.py, as a module."""
    return deployment("engines")


@pytest.fixture
def model(exported, tmp_path):
    """A copy of an exported model: its folder, its `Deploy` section, and the names of its files."""
    folder = tmp_path / "model"
    shutil.copytree(exported, folder)
    deploy = deploy_section(folder)
    return folder, deploy, [deploy[key] for key in ("model", "params") if key in deploy]


def arguments(device="cpu", cpu_threads=1, providers=None):
    return types.SimpleNamespace(device=device, cpu_threads=cpu_threads, providers=providers)


def test_a_model_that_cannot_be_loaded_is_an_error(engines, model):
    folder, deploy, names = model
    unchecked = {key: value for key, value in deploy.items() if key != "sha256"}
    for name in names:
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(engines.UserError, match=f"{names[0]} cannot be loaded; is it cut off"):
            engines.open_model(unchecked, str(folder), arguments())
        (folder / name).unlink()
        message = f"there is no file .*{name}, which the deploy.yaml names"
        with pytest.raises(engines.UserError, match=message):
            engines.open_model(unchecked, str(folder), arguments())
        (folder / name).write_bytes(whole)
    output = engines.open_model(unchecked, str(folder), arguments())(np.zeros((1, 3, 32, 32), "float32"))
    assert output.shape == (1, 32, 32)


def test_a_file_that_lacks_its_last_byte_is_an_error(engines, model):
    folder, deploy, names = model
    assert sorted(deploy["sha256"]) == sorted(("model", "params")[: len(names)])
    engines.open_model(deploy, str(folder), arguments())
    for name in names:
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[:-1])
        with pytest.raises(engines.UserError, match=f"{name} is not the file that was exported; is it cut"):
            engines.open_model(deploy, str(folder), arguments())
        (folder / name).write_bytes(whole)


def test_a_library_that_is_not_installed_is_named(engines, model, monkeypatch):
    folder, deploy, names = model
    onnx = names == ["model.onnx"]
    monkeypatch.setitem(sys.modules, "onnxruntime" if onnx else "paddle", None)
    library = "onnxruntime" if onnx else "paddlepaddle"
    with pytest.raises(engines.UserError, match=f"needs {library}, which is not installed here"):
        engines.open_model(deploy, str(folder), arguments())


@pytest.mark.skipif(paddle.device.cuda.device_count(), reason="there is a GPU")
def test_a_missing_gpu_is_an_error(engines, model):
    folder, deploy, _ = model
    with pytest.raises(engines.UserError, match="^--device gpu: (this|Paddle finds no|onnxruntime finds no)"):
        engines.open_model(deploy, str(folder), arguments(device="gpu"))


def test_a_model_takes_the_given_number_of_threads(engines, model, monkeypatch):
    folder, deploy, names = model
    threads = []
    if names == ["model.onnx"]:
        import onnxruntime

        class Session(onnxruntime.InferenceSession):
            def __init__(self, path, options, **given):
                threads.append(options.intra_op_num_threads)
                super().__init__(path, options, **given)

        monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    else:
        from paddle import inference

        class Config(inference.Config):
            def set_cpu_math_library_num_threads(self, number):
                threads.append(number)
                super().set_cpu_math_library_num_threads(number)

        monkeypatch.setattr(inference, "Config", Config)
    engines.open_model(deploy, str(folder), arguments(cpu_threads=2))
    assert threads == [2]


def test_providers_are_for_onnx_files(engines, model):
    folder, deploy, names = model
    given = arguments(providers=["CPUExecutionProvider"])
    if names == ["model.onnx"]:
        assert engines.open_model(deploy, str(folder), given)
    else:
        with pytest.raises(engines.UserError, match="^--providers are onnxruntime's, and Paddle computes"):
            engines.open_model(deploy, str(folder), given)


@converts
def test_a_file_that_takes_no_image_is_refused(engines, tmp_path, deployment):
    """Such as a language model, or one of two inputs, or one whose output is no tensor."""
    from onnx import TensorProto, helper, save

    sequence = helper.make_tensor_sequence_value_info

    def write(*inputs, operation="Identity", shape=(1, 3, 4, 4), **deploy):
        made = [helper.make_tensor_value_info(name, kind, shape) for name, kind in inputs]
        make = {"Identity": helper.make_tensor_value_info, "SplitToSequence": sequence}[operation]
        target = make("y", inputs[0][1], shape)
        graph = helper.make_graph([helper.make_node(operation, [inputs[0][0]], ["y"])], "g", made, [target])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        save(model, str(tmp_path / "m.onnx"))
        return engines.open_model({"model": "m.onnx", **deploy}, str(tmp_path), arguments())

    with pytest.raises(engines.UserError, match=r"takes x: tensor\(int64\); a segmentation model takes one"):
        write(("x", TensorProto.INT64))
    with pytest.raises(engines.UserError, match=r"takes x: tensor\(float\), z: tensor\(float\); a segm"):
        write(("x", TensorProto.FLOAT), ("z", TensorProto.FLOAT))
    with pytest.raises(engines.UserError, match=r"gives y: seq\(tensor\(float\)\); a segmentation model giv"):
        write(("x", TensorProto.FLOAT), operation="SplitToSequence")
    with pytest.raises(engines.UserError, match=r"m.onnx takes 'tokens', but the models of export.py and of"):
        write(("tokens", TensorProto.FLOAT))
    with pytest.raises(engines.UserError, match=r"m.onnx takes x of n x 5; a segmentation model takes N x C"):
        write(("x", TensorProto.FLOAT), shape=("n", 5))
    with pytest.raises(engines.UserError, match=r"m.onnx scores 3 classes, but the deploy.yaml states 2"):
        write(("x", TensorProto.FLOAT), num_classes=2)
    write(("x", TensorProto.FLOAT), num_classes=3)
    run = write(("x", TensorProto.FLOAT16))
    scores = run(np.full((1, 3, 4, 4), 0.1, "float32"))
    assert (scores.dtype, scores[0, 0, 0, 0]) == ("float32", np.float16(0.1))
    assert deployment("masks").mask_of(scores, (8, 8), "none").shape == (8, 8)


CPUINFO = {
    "amd": b"processor : 0\nvendor_id\t: AuthenticAMD\nflags\t\t: fpu avx avx2 bmi1\n",
    "flag last": b"vendor_id\t: AuthenticAMD\nflags\t\t: fpu avx avx2\n",
    "hygon": b"vendor_id\t: HygonGenuine\nflags\t\t: fpu avx2 bmi1\n",
    "no colon": b"flags\nvendor_id\t: AuthenticAMD\nmodel name\t: caf\xe9\nflags\t\t: avx2\n",
    "intel": b"vendor_id\t: GenuineIntel\nflags\t\t: fpu avx2 bmi1\nmodel name: no AuthenticAMD\n",
    "old amd": b"vendor_id\t: AuthenticAMD\nflags\t\t: fpu avx\n",
    "other flag": b"vendor_id\t: AuthenticAMD\nflags\t\t: fpu avx2x\nbugs\t\t: avx2\n",
    "first core": b"vendor_id\t: AuthenticAMD\nflags\t\t: fpu\n\nflags\t\t: avx2\n",
    "arm": b"Features\t: fp asimd\n",
    "empty": b"",
    "gone": None,
}


@pytest.mark.parametrize("machine", ["x86_64", "AMD64", "aarch64"])
@pytest.mark.parametrize("kind", CPUINFO)
def test_mkl_is_slow_on_the_same_processors_as_in_training(tmp_path, deployment, monkeypatch, kind, machine):
    monkeypatch.setattr(platform, "machine", lambda: machine)
    path = tmp_path / "cpuinfo"
    if CPUINFO[kind] is not None:
        path.write_bytes(CPUINFO[kind])
    expected = kind in ("amd", "flag last", "hygon", "no colon") and machine != "aarch64"
    assert deployment("engines").slow_in_mkl(str(path)) == bool(cpu.slow_in_mkl(str(path))) == expected
