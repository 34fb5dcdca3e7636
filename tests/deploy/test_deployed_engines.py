"""deploy/engines.py: a library or a file that is not there, and what the processor needs."""

import platform
import sys
import types

import numpy as np
import paddle
import pytest
from exporting import FORMATS, PADDLE_3, export

from paddleseg.utils import cpu

PADDLE_FILES = ("model.json" if PADDLE_3 else "model.pdmodel", "model.pdiparams")


@pytest.mark.parametrize("kind", FORMATS)
def test_a_model_that_cannot_be_loaded_is_told(tmp_path, trained, deployment, kind):
    given = types.SimpleNamespace(device="cpu", cpu_threads=1)
    engines, folder = deployment("engines"), tmp_path / "out"
    export(trained, folder, format=kind)
    names = PADDLE_FILES if kind == "paddle" else ("model.onnx",)
    deploy = dict(zip(("model", "params"), names))
    with pytest.raises(engines.UserError, match="is not the file that was exported; is it cut off"):
        engines.open_model({**deploy, "sha256": {"model": "0" * 64}}, str(folder), given)
    for name in names:
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(engines.UserError, match=f"{names[0]} cannot be loaded; is it cut off"):
            engines.open_model(deploy, str(folder), given)
        (folder / name).unlink()
        with pytest.raises(
            engines.UserError, match=f"there is no file .*{name}, which the deploy.yaml names"
        ):
            engines.open_model(deploy, str(folder), given)
        (folder / name).write_bytes(whole)
    assert engines.open_model(deploy, str(folder), given)(np.zeros((1, 3, 32, 32), "float32")).shape == (
        1,
        32,
        32,
    )


@pytest.mark.parametrize("kind", FORMATS)
def test_a_library_that_is_not_installed_is_named(tmp_path, trained, deployment, monkeypatch, kind):
    engines = deployment("engines")
    export(trained, tmp_path / "out", format=kind)
    wanted, module = {"paddle": ("paddlepaddle", "paddle"), "onnx": ("onnxruntime", "onnxruntime")}[kind]
    monkeypatch.setitem(sys.modules, module, None)
    deploy = {"model": "model.onnx"} if kind == "onnx" else dict(zip(("model", "params"), PADDLE_FILES))
    with pytest.raises(engines.UserError, match=f"needs {wanted}, which is not installed here"):
        engines.open_model(deploy, str(tmp_path / "out"), types.SimpleNamespace(device="cpu", cpu_threads=1))


@pytest.mark.skipif(paddle.device.cuda.device_count(), reason="there is a GPU")
@pytest.mark.parametrize("kind", FORMATS)
def test_a_gpu_that_is_not_there_is_told(tmp_path, trained, deployment, kind):
    engines = deployment("engines")
    export(trained, tmp_path / "out", format=kind)
    deploy = {"model": "model.onnx"} if kind == "onnx" else dict(zip(("model", "params"), PADDLE_FILES))
    with pytest.raises(engines.UserError, match="^--device gpu: (this|Paddle finds no|onnxruntime finds no)"):
        engines.open_model(deploy, str(tmp_path / "out"), types.SimpleNamespace(device="gpu", cpu_threads=1))


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
def test_mkl_leaves_the_avx2_of_the_same_processors_alone_as_in_training(
    tmp_path, deployment, monkeypatch, kind, machine
):
    monkeypatch.setattr(platform, "machine", lambda: machine)
    path = tmp_path / "cpuinfo"
    if CPUINFO[kind] is not None:
        path.write_bytes(CPUINFO[kind])
    expected = kind in ("amd", "flag last", "hygon", "no colon") and machine != "aarch64"
    assert deployment("engines").slow_in_mkl(str(path)) == bool(cpu.slow_in_mkl(str(path))) == expected


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_that_lacks_its_last_byte_is_told(tmp_path, trained, deployment, kind):
    engines, read = deployment("engines"), deployment("deploy_file").read_deploy_file
    given = types.SimpleNamespace(device="cpu", cpu_threads=1)
    export(trained, tmp_path, format=kind)
    deploy = read(str(tmp_path / "deploy.yaml"))
    names = PADDLE_FILES if kind == "paddle" else ("model.onnx",)
    assert sorted(deploy["sha256"]) == sorted(("model", "params")[: len(names)])
    engines.open_model(deploy, str(tmp_path), given)
    for name in names:
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[:-1])
        with pytest.raises(engines.UserError, match=f"{name} is not the file that was exported"):
            engines.open_model(deploy, str(tmp_path), given)
        (tmp_path / name).write_bytes(whole)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_model_takes_as_many_threads_as_it_is_told(tmp_path, trained, deployment, monkeypatch, kind):
    engines, told = deployment("engines"), []
    export(trained, tmp_path, format=kind)
    if kind == "onnx":
        import onnxruntime

        class Session(onnxruntime.InferenceSession):
            def __init__(self, path, options, **given):
                told.append(options.intra_op_num_threads)
                super().__init__(path, options, **given)

        monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    else:
        from paddle import inference

        class Config(inference.Config):
            def set_cpu_math_library_num_threads(self, number):
                told.append(number)
                super().set_cpu_math_library_num_threads(number)

        monkeypatch.setattr(inference, "Config", Config)
    deploy = {"model": "model.onnx"} if kind == "onnx" else dict(zip(("model", "params"), PADDLE_FILES))
    engines.open_model(deploy, str(tmp_path), types.SimpleNamespace(device="cpu", cpu_threads=2))
    assert told == [2]
