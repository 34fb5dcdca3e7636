"""Pickles that would run code, or take memory and time, are refused."""

import collections
import copyreg
import os
import pathlib
import pickle
import struct
import tracemalloc

import numpy as np
import paddle
import pytest
from handmade_pickle import SHAPE_3, array, dtype, named, text

from paddleseg.errors import UserError
from paddleseg.weights.safe_pickle import read_pickle


class Calls:
    """Pickles as a call."""

    def __init__(self, called, *arguments):
        self.call = called, arguments

    def __call__(self):
        """Make instances callable, since pickle checks that what is called is."""

    def __reduce__(self):
        return self.call


def attacks(canary):
    """Return {attack: (an object that makes the file `canary` when unpickled, the name in the refusal)}."""
    import builtins
    import ctypes
    import functools
    import importlib
    import subprocess

    command, source = f"touch {canary}", f"open({canary!r}, 'w')"
    inner = pickle.dumps(Calls(os.system, command))
    attribute = Calls(getattr, Calls(importlib.import_module, "os"), "system")
    return {
        "shell": (Calls(os.system, command), "posix.system"),
        "process": (Calls(subprocess.Popen, ["touch", canary]), "subprocess.Popen"),
        "eval": (Calls(eval, source), "builtins.eval"),
        "eval with names": (Calls(eval, "data", {"data": Calls(eval, source)}), "builtins.eval"),
        "exec": (Calls(exec, source), "builtins.exec"),
        "open": (Calls(open, canary, "w"), "io.open"),
        "import": (Calls(builtins.__import__, "os"), "builtins.__import__"),
        "attributes": (Calls(attribute, command), "builtins.getattr"),
        "partial": (Calls(functools.partial(os.system, command)), "functools.partial"),
        "map": (Calls(list, Calls(map, os.system, [command])), "builtins.map"),
        "library": (Calls(ctypes.CDLL, canary), "ctypes.CDLL"),
        "numpy.load": (Calls(np.load, canary, None, True), "numpy.load"),
        "numpy.save": (Calls(np.save, canary, np.zeros(1)), "numpy.save"),
        "paddle.load": (Calls(paddle.load, canary), "load"),
        "a pickle within": (Calls(pickle.loads, inner), "pickle.loads"),
        "objects in an array": ({"w": np.array([Calls(os.system, command)], dtype=object)}, "dtype 'O8'"),
        "a class": (pathlib.PurePosixPath("x"), "pathlib.PurePosixPath"),
        "a subclass of dict": (collections.Counter("a"), "collections.Counter"),
        "a factory": (collections.defaultdict(list), "collections.defaultdict"),
        "a function": ({"w": len}, "builtins.len"),
        "memory": (bytearray(b"x"), "builtins.bytearray"),
    }


@pytest.mark.parametrize("what", attacks("x"))
@pytest.mark.parametrize("protocol", [2, 4])
def test_a_call_is_refused_by_its_name(written, tmp_path, what, protocol):
    canary = tmp_path / "canary"
    attack, name = attacks(str(canary))[what]
    path = written(pickle.dumps(attack, protocol=protocol))
    with pytest.raises(UserError) as caught:
        read_pickle(path)
    assert str(caught.value).startswith(f"{path} is refused: ")
    assert name in str(caught.value)
    assert not canary.exists()


def test_the_attacks_work_on_pythons_unpickler(tmp_path):
    # So the test above can fail.
    canary = tmp_path / "canary"
    for what in ("shell", "eval", "exec", "attributes", "a pickle within", "objects in an array", "open"):
        pickle.loads(pickle.dumps(attacks(str(canary))[what][0]))
        assert canary.exists(), what
        canary.unlink()


INSTRUCTIONS = {
    "dotted": (named("os", "path.os.system") + text("true") + b"\x85R.", "it calls os.path.os.system"),
    "of a class": (named("builtins", "tuple.__subclasses__") + b")R.", "builtins.tuple.__subclasses__"),
    "dunder": (named("numpy", "ndarray.__class__") + b")R.", "numpy.ndarray.__class__"),
    "an empty module": (named("", "eval") + b")R.", "it calls .eval"),
    "text": (b"cos\nsystem\n(X\x04\x00\x00\x00truetR.", "it calls os.system"),
    "INST": (b"(X\x04\x00\x00\x00trueios\nsystem\n.", "the pickle instruction INST"),
    "OBJ": (b"(" + named("os", "system") + text("true") + b"o.", "it calls os.system"),
    "OBJ of ours": (b"(" + named("builtins", "tuple") + b"o.", "the pickle instruction OBJ"),
    "NEWOBJ": (named("builtins", "tuple") + b")\x81.", "the pickle instruction NEWOBJ"),
    "NEWOBJ_EX": (named("builtins", "tuple") + b")}\x92.", "the pickle instruction NEWOBJ_EX"),
    "extension": (b"\x82\x07.", "the pickle instruction EXT1"),
    "long extension": (b"\x84\x07\x00\x00\x00.", "the pickle instruction EXT4"),
    "persistent": (b"Pname\n.", "the pickle instruction PERSID"),
    "persistent object": (text("name") + b"Q.", "the pickle instruction BINPERSID"),
    "buffer": (b"\x97.", "the pickle instruction NEXT_BUFFER"),
    "a call of a value": (text("os") + b")R.", "it calls a str"),
    "a call of an array": (array(SHAPE_3, dtype("f4"), b"C\x0c" + bytes(12)) + b")R.", "it calls a Array"),
    "arguments in a list": (named("builtins", "tuple") + b"]R.", "it calls a StandIn"),
    "a name as a value": (b"}" + text("w") + named("builtins", "tuple") + b"s.", "it holds builtins.tuple"),
    "attributes of ours": (
        named("_codecs", "encode") + b"N}" + text("__defaults__") + b"N\x85s\x86b.",
        "it sets the state of a _codecs.encode",
    ),
    "attributes of a value": (b"}}" + text("keys") + b"Nsb.", "it sets the state of a dict"),
    "another encoding": (
        named("_codecs", "encode") + text("x") + text("rot13") + b"\x86R.",
        "it calls _codecs.encode with 'rot13'",
    ),
    "objects as data": (array(b"K\x01\x85", dtype("f4"), b"]Na"), "it holds an array of objects"),
    "an array without dtype": (array(b"K\x01\x85", b"N", b"C\x00"), "it holds an array of objects"),
    "fields": (
        named("numpy", "dtype") + text("V8") + b"\x89\x88\x87R.",
        "it holds an array of dtype 'V8'",
    ),
    "fields in the state": (
        named("numpy", "dtype") + text("f4") + b"\x89\x88\x87R(K\x03" + text("<") + b"N)}tb.",
        "it holds an array of dtype",
    ),
    "objects as dtype": (named("numpy", "dtype") + text("O8") + b"\x89\x88\x87R.", "dtype 'O8'"),
    "a tuple as a key": (b"}))\x86Ns.", "it holds a tuple as a key"),
}


@pytest.mark.parametrize("what", INSTRUCTIONS)
def test_other_instructions_are_refused(written, what):
    copyreg.add_extension("os", "system", 7)
    try:
        content, message = INSTRUCTIONS[what]
        with pytest.raises(UserError) as caught:
            read_pickle(written(b"\x80\x04" + content))
    finally:
        copyreg.remove_extension("os", "system", 7)
    assert message in str(caught.value)


def nested_lists(times):
    """Return a list whose items, counted one by one, are 2**times."""
    value = []
    for _ in range(times):
        value = [value, value]
    return value


def nested_tuples(times):
    value = ()
    for _ in range(times):
        value = (value, value)
    return value


LONG = struct.pack("<Q", 2**40)
TIMES = 10_000


def over_and_over(make, call):
    """Return a list of what a call of `named` makes of one value, given again and again."""
    return make + b"q\x01" + call + b"q\x02](" + b"h\x02h\x01\x85R" * TIMES + b"e."


def chained_slices(times):
    table = {f"k{i}": {"slices": [f"k{i - 1}"], "OriginShape": (-1,)} for i in range(1, times)}
    return pickle.dumps({"k0": np.zeros(100_000, "u1"), "UnpackBigParamInfor@@": table})


LONG_TEXT = b"X" + struct.pack("<I", 100_000) + b"x" * 100_000
LONG_LIST = b"](" + b"K\x01" * 50_000 + b"e"
BOMBS = {
    "bytes over and over": LONG_TEXT
    + b"q\x01"
    + text("latin1")
    + b"q\x03"
    + named("_codecs", "encode")
    + b"q\x02]("
    + b"h\x02h\x01h\x03\x86R" * TIMES
    + b"e.",
    "lists over and over": over_and_over(LONG_LIST, named("builtins", "list")),
    "lists of letters over and over": over_and_over(LONG_TEXT, named("builtins", "list")),
    "tuples over and over": over_and_over(LONG_LIST, named("builtins", "tuple")),
    "sets over and over": over_and_over(LONG_LIST, named("builtins", "set")),
    "arrays over and over": b"B"
    + struct.pack("<I", 100_000)
    + bytes(100_000)
    + b"q\x01"
    + dtype("u1")
    + b"q\x02"
    + text("C")
    + b"q\x03"
    + named("numpy.core.numeric", "_frombuffer")
    + b"q\x04J"
    + struct.pack("<i", 100_000)
    + b"\x85q\x05]("
    + b"h\x04(h\x01h\x02h\x05h\x03tR" * TIMES
    + b"e.",
    "slices joined over and over": chained_slices(TIMES),
    "long bytes": b"\x8e" + LONG + b".",
    "a long text": b"\x8d" + LONG + b".",
    "a long array of bytes": b"\x96" + LONG + b".",
    "a long number": b"\x8b\xff\xff\xff\x7f.",
    "a huge array": array(b"J\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x86", dtype("f4"), b"C\x00") + b".",
    "many axes": array(b"(" + b"K\x01" * 40 + b"t", dtype("f4"), b"C\x04" + bytes(4)) + b".",
    "a negative side": array(b"J\xff\xff\xff\xff\x85", dtype("f4"), b"C\x04" + bytes(4)) + b".",
    "a fractional side": array(b"G" + struct.pack(">d", 1) + b"\x85", dtype("f4"), b"C\x04" + bytes(4))
    + b".",
    "keys that share parts": pickle.dumps({"w": 1})[:-1] + pickle.dumps(nested_tuples(64))[2:-1] + b"Ns.",
    "a set that shares parts": b"\x8f(" + pickle.dumps(nested_tuples(64))[2:-1] + b"\x90.",
    "a shape that shares parts": array(pickle.dumps(nested_tuples(64))[2:-1], dtype("f4"), b"C\x00") + b".",
    "a dtype that shares parts": named("numpy", "dtype") + pickle.dumps(nested_tuples(64))[2:-1] + b"\x85R.",
    "slices that share parts": pickle.dumps(
        {"x": nested_lists(64), "UnpackBigParamInfor@@": {"w": {"slices": ["x"], "OriginShape": (1,)}}}
    ),
    "deep lists": b"]" * 100000 + b"a" * 99999 + b".",
}


@pytest.mark.parametrize("what", BOMBS)
def test_a_small_file_takes_little_memory_and_time(written, what):
    path = written(b"\x80\x04" + BOMBS[what])
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match="far more data|as a slice" if "over and over" in what else ""):
            read_pickle(path)
        assert tracemalloc.get_traced_memory()[1] < 30e6
    finally:
        tracemalloc.stop()


def test_shared_parts_long_frames_and_high_memo_numbers_are_harmless(written):
    got = read_pickle(written(pickle.dumps(nested_lists(200))))
    assert got[0] is got[1]
    assert read_pickle(written(b"\x80\x04\x95" + LONG + text("x") + b".")) == "x"
    assert read_pickle(written(b"\x80\x04" + text("x") + b"r\xff\xff\xff\x7f.")) == "x"
