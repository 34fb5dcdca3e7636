"""Files of `torch.save` are read without PyTorch; hostile and damaged ones are refused."""

import pathlib
import pickle
import tracemalloc
import zipfile

import numpy as np
import pytest
from handmade_pickle import named
from refusal import refusal
from test_safe_pickle_attacks import BOMBS, INSTRUCTIONS, attacks
from torch_files import Named, Storage, Tensor, old_bytes, pickled, zip_bytes

from paddleseg.errors import UserError
from paddleseg.weights.load import read_weights
from paddleseg.weights.torch_file import is_torch_file, read_torch_file

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
FORMATS = {"zip": zip_bytes, "old": old_bytes}
BASE = np.arange(24, dtype="float32").reshape(4, 6)


@pytest.fixture(params=FORMATS)
def write(request, tmp_path):
    """A function that writes a value, and storages of float32, in both formats; it returns the path."""

    def write(value, *storages):
        content = value if isinstance(value, bytes) else pickled(value)
        path = tmp_path / "w.pth"
        data = {str(i): np.asarray(s, "float32").tobytes() for i, s in enumerate(storages)}
        path.write_bytes(FORMATS[request.param](content, data))
        return str(path)

    return write


def tensor(storage, *view):
    """Return a call of PyTorch's constructor of tensors, as a value to pickle."""
    made = Tensor("0", np.zeros(1, "float32"))
    made.reduced = made.reduced[0], (storage, *view, False, {})
    return made


@pytest.mark.parametrize("name", FORMATS)
def test_files_of_pytorch(name):
    path = GOLDEN / f"torch_{name}.pth"
    assert is_torch_file(path)
    read = read_torch_file(path)
    layer = read["state_dict"]
    shapes = {key: (array.shape, str(array.dtype)) for key, array in layer.items()}
    norm = {f"1.{key}": ((3,), "float32") for key in ("weight", "bias", "running_mean", "running_var")}
    assert shapes == {
        "0.weight": ((3, 2), "float32"),
        "0.bias": ((3,), "float32"),
        **norm,
        "1.num_batches_tracked": ((), "int64"),
    }
    # By torch.nn.Linear's own initialisation, after torch.manual_seed(0).
    np.testing.assert_allclose(layer["0.weight"][0], [-0.0052, 0.3793], atol=1e-4)
    np.testing.assert_array_equal(read["parameter"], layer["0.weight"])
    expected = [BASE, BASE.T, BASE[1:3, ::2], BASE[0, 0], np.stack([BASE, BASE])]
    for array, view in zip(read["views"], expected):
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, view)
    for kind, array in read["types"].items():
        expected = np.arange(-1, 3)
        if kind == "bfloat16":  # the bits
            expected, kind = (expected.astype("float32").view("uint32") >> 16), "uint16"
        assert array.dtype == kind
        np.testing.assert_array_equal(array, expected.astype(kind))
    assert read["empty"].shape == (0, 3)
    assert (read["size"], read["epoch"], read["names"]) == ((4, 6), 3, ["a", "b"])


def test_both_formats_hold_the_same():
    one, other = (read_torch_file(GOLDEN / f"torch_{name}.pth")["state_dict"] for name in FORMATS)
    assert list(one) == list(other)
    assert all(np.array_equal(one[key], other[key]) for key in one)


def test_a_big_endian_file(tmp_path):
    path = tmp_path / "w.pt"
    content = pickled({"w": Tensor("0", BASE)})
    path.write_bytes(zip_bytes(content, {"0": BASE.astype(">f4").tobytes()}, byteorder="big"))
    np.testing.assert_array_equal(read_torch_file(path)["w"], BASE)


@pytest.mark.parametrize("what", attacks("x"))
def test_a_call_is_refused_by_its_name(write, tmp_path, what):
    canary = tmp_path / "canary"
    attack, name = attacks(str(canary))[what]
    path = write(pickle.dumps(attack, protocol=2))
    with pytest.raises(UserError) as caught:
        read_weights(path)
    assert str(caught.value).startswith(f"{path} is refused: ")
    assert name in str(caught.value)
    assert not canary.exists()


@pytest.mark.parametrize("what", sorted({*INSTRUCTIONS} - {"persistent object", "attributes of a value"}))
def test_other_instructions_are_refused(write, what):
    with pytest.raises(UserError):
        read_torch_file(write(b"\x80\x04" + INSTRUCTIONS[what][0]))


# Paddle's slices of big arrays mean nothing here.
@pytest.mark.parametrize("what", [what for what in BOMBS if "slices" not in what])
def test_a_small_file_takes_little_memory(write, what):
    path = write(b"\x80\x04" + BOMBS[what])
    tracemalloc.start()
    try:
        with pytest.raises(UserError):
            read_torch_file(path)
        assert tracemalloc.get_traced_memory()[1] < 30e6
    finally:
        tracemalloc.stop()


WHOLE = Storage("0", np.zeros(6, "float32"))


def storage(*pid):
    made = Storage("0", np.zeros(6, "float32"))
    made.pid = pid
    return made


FLOATS = Named("torch", "FloatStorage")
TENSORS = {
    "behind its end": (tensor(WHOLE, 0, (7,), (1,)), "reaches beyond its storage"),
    "behind its end by the offset": (tensor(WHOLE, 5, (2,), (1,)), "reaches beyond its storage"),
    "behind its end by a stride": (tensor(WHOLE, 0, (2, 2), (5, 1)), "reaches beyond its storage"),
    "before its start": (tensor(WHOLE, -1, (2,), (1,)), "impossible sizes"),
    "backwards": (tensor(WHOLE, 5, (2,), (-1,)), "impossible sizes"),
    "a negative size": (tensor(WHOLE, 0, (-2,), (1,)), "impossible sizes"),
    "a fractional size": (tensor(WHOLE, 0, (2.0,), (1,)), "impossible sizes"),
    "fewer strides": (tensor(WHOLE, 0, (2, 2), (1,)), "impossible sizes"),
    "of a list": (tensor([1.0], 0, (1,), (1,)), "something else than a storage"),
    "the same numbers very often": (
        [tensor(WHOLE, 0, (10**9,), (0,))],
        "makes far more data than the file holds",
    ),
    "a huge storage": (tensor(storage("storage", FLOATS, "0", "cpu", 2**40), 0, (1,), (1,)), "more data"),
    "a longer storage": (tensor(storage("storage", FLOATS, "0", "cpu", 7), 0, (1,), (1,)), ""),
    "a negative storage": (tensor(storage("storage", FLOATS, "0", "cpu", -1), 0, (1,), (1,)), "a storage of"),
    "another storage": (tensor(storage("storage", FLOATS, "../9", "cpu", 6), 0, (1,), (1,)), ""),
    "a storage of objects": (
        tensor(storage("storage", Named("builtins", "list"), "0", "cpu", 6), 0, (1,), (1,)),
        "something else than a storage",
    ),
    "a module": (storage("module", FLOATS, "0", "cpu", 6), "something else than a storage"),
    "a part of a storage": (
        tensor(storage("storage", FLOATS, "0", "cpu", 6, ("1", 0, 2)), 0, (1,), (1,)),
        "a storage of",
    ),
    "a class as a value": ([tensor(WHOLE, 0, (6,), (1,)), FLOATS], "it holds torch.FloatStorage as a value"),
}


@pytest.mark.parametrize("what", TENSORS)
def test_tensors_that_do_not_fit_their_storage_are_refused(write, what):
    value, message = TENSORS[what]
    with pytest.raises(UserError) as caught:
        read_torch_file(write(value, range(6)))
    assert message in str(caught.value)


def test_one_tensor_of_these_that_fits(write):
    # So the test above can fail.
    np.testing.assert_array_equal(read_torch_file(write(tensor(WHOLE, 1, (2,), (3,)), range(6))), [1, 4])


def test_a_class_of_storages_is_not_called(write):
    path = write(b"\x80\x02" + named("torch", "FloatStorage") + b")R.")
    with pytest.raises(UserError, match="it calls torch.FloatStorage"):
        read_torch_file(path)


def test_a_whole_model_is_refused(write):
    path = write(b"\x80\x02ctorchvision.models.resnet\nResNet\n)\x81.")
    with pytest.raises(UserError) as caught:
        read_torch_file(path)
    assert "it calls torchvision.models.resnet.ResNet; weights are only arrays" in str(caught.value)
    assert "torch.save(model.state_dict(), FILE) writes such a file" in str(caught.value)


def test_zips_that_pytorch_does_not_write_so(tmp_path, capsys):
    path, content = tmp_path / "w.pt", pickled({"w": Tensor("0", BASE)})
    zeros = {"0": bytes(96)}
    for data, message in (
        (zip_bytes(content, zeros, **{"constants.pkl": b""}), "it is a program of TorchScript"),
        (zip_bytes(content, zeros, zipfile.ZIP_DEFLATED), "data.pkl is compressed, which PyTorch never does"),
        (zip_bytes(content, {}), "There is no item named 'archive/data/0'"),
        (zip_bytes(content, {"0": bytes(92)}), "the storage 0 does not hold 24 numbers of float32"),
        (
            zip_bytes(content, zeros, **{"x/data.pkl": b""}).replace(
                b"archive/data.pkl", b"archive.data.pkl"
            ),
            "",
        ),
        (zip_bytes(content, zeros, byteorder="middle"), "cannot be read as weights"),
    ):
        path.write_bytes(data)
        assert message in refusal(capsys, lambda: read_weights(path))


@pytest.mark.parametrize("name", FORMATS)
def test_damaged_files_are_refused(tmp_path, name):
    whole = (GOLDEN / f"torch_{name}.pth").read_bytes()
    path = tmp_path / "w.pth"
    for length in (*range(4, len(whole) - 1, 397), len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError):
            read_weights(path)


def test_weights_in_a_checkpoint_of_a_training(write, capsys):
    weights = {"module.w": tensor(WHOLE, 0, (6,), (1,))}
    for value in (weights, {"state_dict": weights, "epoch": 3, "arch": "resnet18"}):
        read = read_weights(write(value, range(6)))
        assert list(read) == ["w"]
        np.testing.assert_array_equal(read["w"], range(6))
    assert "are under its key 'state_dict'" in capsys.readouterr().out


def test_two_sets_of_weights_are_not_chosen_from(write, capsys):
    weights = {"w": tensor(WHOLE, 0, (6,), (1,))}
    path = write({"state_dict": weights, "state_dict_ema": weights}, range(6))
    message = refusal(capsys, lambda: read_weights(path))
    assert message == f"{path} holds other things than named arrays: state_dict, state_dict_ema"
