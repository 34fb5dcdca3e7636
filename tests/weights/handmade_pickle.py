"""Instructions of pickles, written by hand."""


def text(value):
    """Return the instruction that pushes a short text."""
    return b"\x8c" + bytes([len(value)]) + value.encode()


def named(module, name):
    """Return the instructions that push what a module calls `name`."""
    return text(module) + text(name) + b"\x93"


def dtype(code, order="<"):
    return named("numpy", "dtype") + text(code) + b"\x89\x88\x87R" + b"(K\x03" + text(order) + b"NNNtb"


def array(shape, of, data, module="numpy.core.multiarray"):
    """Return the instructions for an array, the `shape`, dtype and data given as instructions."""
    made = named(module, "_reconstruct") + named("numpy", "ndarray") + b"K\x00\x85C\x01b\x87R"
    return made + b"(K\x01" + shape + of + b"\x89" + data + b"tb"


SHAPE_3 = b"K\x03\x85"
