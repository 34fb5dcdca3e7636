"""Files of Paddle are read as Paddle reads them, and damaged files are refused."""

import collections
import contextlib
import io
import pathlib
import pickle
import sys

import numpy as np
import paddle
import pytest
from handmade_pickle import SHAPE_3, array, dtype

from paddleseg.errors import UserError
from paddleseg.weights.safe_pickle import read_pickle

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
sys.path.insert(0, str(GOLDEN))
import paddle_files  # noqa: E402


def assert_same(got, expected):
    """Assert equal values, types, shapes and bits; an `OrderedDict` counts as a dict."""
    if isinstance(expected, dict):
        assert type(got) is dict
        assert list(got) == list(expected)
        for key in expected:
            assert_same(got[key], expected[key])
        return
    assert type(got) is type(expected)
    if isinstance(expected, (list, tuple)):
        assert len(got) == len(expected)
        for one, other in zip(got, expected):
            assert_same(one, other)
    elif isinstance(expected, (np.ndarray, np.generic)):
        assert (got.dtype, got.shape, got.tobytes()) == (expected.dtype, expected.shape, expected.tobytes())
        assert got.flags.writeable == expected.flags.writeable
    else:
        assert got == expected


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("paddle_2_6_2_*")), ids=lambda path: path.name)
def test_files_of_an_older_paddle(path):
    assert_same(read_pickle(path), paddle.load(str(path), return_numpy=True))


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("name", ["model.pdparams", "model.pdopt", "nested"])
def test_files_of_this_paddle(tmp_path, protocol, name):
    path = str(tmp_path / "file")
    paddle.save(paddle_files.contents()[name], path, protocol=protocol)
    assert_same(read_pickle(path), paddle.load(path, return_numpy=True))


@pytest.mark.parametrize("what", ["tensor", "list", "static"])
def test_files_that_hold_no_dict(tmp_path, what):
    tensor = paddle.rand([2, 3])
    saved = {"tensor": tensor, "list": [tensor, 1], "static": tensor.value().get_tensor()}[what]
    path = str(tmp_path / "file")
    paddle.save(saved, path)
    assert_same(read_pickle(path), paddle.load(path, return_numpy=True))


ARRAYS = {
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "big endian": np.arange(3, dtype=">f4"),
    "long double": np.arange(2, dtype=np.longdouble),
    "none": np.zeros((0, 4), "int8"),
    "scalar": np.float64(1.5),
    "rank 0": np.array(3, "int16"),
}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_arrays_of_every_kind_and_plain_values(written, protocol):
    shared = [1, {2, "x"}]
    content = {
        **ARRAYS,
        "plain": [None, True, -(10**30), 1.5, "text ä", b"bytes", frozenset([1, 2])],
        "ordered": collections.OrderedDict(b=1, a=(shared, shared)),
    }
    got = read_pickle(written(pickle.dumps(content, protocol=protocol)))
    assert_same(got, content)
    assert got["ordered"]["a"][0] is got["ordered"]["a"][1]


def test_a_list_that_contains_itself(written):
    circle = [1]
    circle.append(circle)
    got = read_pickle(written(pickle.dumps({"circle": circle}, protocol=4)))["circle"]
    assert got[1] is got


def test_big_arrays_come_in_slices(written):
    whole = np.arange(12.0).reshape(3, 4)
    parts = {f"w@@.{i}": part for i, part in enumerate(np.split(whole.ravel(), 3))}
    table = {"w": {"OriginShape": (3, 4), "slices": list(parts)}}
    content = {"a": whole[0], **parts, "UnpackBigParamInfor@@": table}
    path = written(pickle.dumps(content, protocol=2))
    assert_same(read_pickle(path), paddle.load(path, return_numpy=True))
    table["w"]["slices"] = ["w@@.0"] * 3
    with pytest.raises(UserError, match="w@@.0 is used twice as a slice"):
        read_pickle(written(pickle.dumps(content, protocol=2)))


def test_files_of_other_pythons_and_numpys(written):
    data = np.arange(3, dtype="<f4")
    raw = b"C" + bytes([12]) + data.tobytes()
    old_text = b"U" + bytes([12]) + data.tobytes()  # Python 2's string of bytes
    for module, bytes_ in (("numpy._core.multiarray", raw), ("numpy.core.multiarray", old_text)):
        content = b"\x80\x02}U\x01w" + array(SHAPE_3, dtype("f4"), bytes_, module) + b"s."
        assert_same(read_pickle(written(content)), {"w": data})


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_many_and_large_values_are_within_the_budget(tmp_path, protocol):
    numbers = np.random.default_rng(0)
    state = {f"w{i}": numbers.integers(0, 256, 3, "u1") for i in range(3000)}
    state.update(big=numbers.integers(0, 256, 12 << 20, "u1"), ids=set(range(200_000)))
    path = str(tmp_path / "file")
    paddle.save(state, path, protocol=protocol)
    assert_same(read_pickle(path), state)


def test_every_cut_and_many_flips_of_a_file_are_refused_or_read(tmp_path):
    buffer = io.BytesIO()
    paddle.save(paddle_files.contents()["model.pdopt"], buffer)
    whole = buffer.getvalue()
    path = tmp_path / "damaged"
    for end in range(0, len(whole), 23):
        path.write_bytes(whole[:end])
        with pytest.raises(UserError):
            read_pickle(path)
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(whole), 150):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        with contextlib.suppress(UserError):
            read_pickle(path)
