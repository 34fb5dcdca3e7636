"""The oneDNN library, bound by ctypes: https://uxlfoundation.github.io/oneDNN, C interface of version 3."""

import ctypes
import functools
import os
import platform
import re
import sys

import paddle

MAJOR = 3
UNDEFINED, FLOAT32 = 0, 3  # types of numbers; a sum of undefined type has that of the output
ANY = 1  # the tag of a layout that the library chooses
# Arguments of a primitive, by their numbers in dnnl_types.h.
SRC, DST, WEIGHTS, BIAS = 1, 17, 33, 41
DIFF_SRC, DIFF_DST, DIFF_WEIGHTS = 129, 145, 161
# Queries of a primitive's description.
QUERY_IMPLEMENTATION = 8
QUERY_LAYOUT = {SRC: 129, DIFF_SRC: 130, WEIGHTS: 131, DIFF_WEIGHTS: 132, DST: 133, DIFF_DST: 134}
FORWARD_TRAINING, CONVOLUTION_DIRECT, ELTWISE_RELU = 64, 1, 32

Pointer = ctypes.c_void_p
_Dims = ctypes.c_int64 * 12


class Argument(ctypes.Structure):
    """One argument of a call: its number, and a memory object."""

    _fields_ = [("number", ctypes.c_int), ("memory", Pointer)]


class OneDNNError(RuntimeError):
    """A call of the library failed."""


@functools.cache
def why_not():
    """Return why the library cannot be used here, in words; None if it can."""
    if not sys.platform.startswith("linux") or platform.machine() not in ("x86_64", "AMD64"):
        return f"Paddle's wheel for {sys.platform} on {platform.machine()} brings no such library"
    try:
        version = _loaded().dnnl_version
    except OSError as error:
        return f"Paddle's wheel brings no libdnnl.so.{MAJOR}: {error}"
    version.restype = ctypes.POINTER(ctypes.c_int)
    major = version()[0]
    return None if major == MAJOR else f"it is oneDNN {major}, and this project knows version {MAJOR}"


@functools.cache
def _loaded():
    folder = os.path.join(os.path.dirname(paddle.__file__), "libs")
    return ctypes.CDLL(os.path.join(folder, f"libdnnl.so.{MAJOR}"))


class Owned(Pointer):
    """A pointer to an object of the library, which is destroyed with it."""

    destroy = None
    __hash__ = object.__hash__  # pointers of ctypes have none

    def __del__(self):
        if self.destroy is not None:
            self.destroy(self)


class Library:
    """The library with a CPU engine and a stream. Calls are synchronous; one thread at a time may call."""

    def __init__(self):
        lib = _loaded()
        lib.dnnl_memory_desc_get_size.restype = ctypes.c_size_t
        lib.dnnl_primitive_desc_query_md.restype = Pointer
        lib.dnnl_primitive_desc_query_md.argtypes = [Pointer, ctypes.c_int, ctypes.c_int]
        lib.dnnl_memory_set_data_handle.argtypes = [Pointer, Pointer]
        lib.dnnl_primitive_execute.argtypes = [Pointer, Pointer, ctypes.c_int, Pointer]
        self._lib = lib
        self.engine = self._made("engine_create", 1, ctypes.c_size_t(0))
        self.stream = self._made("stream_create", self.engine, 1).value
        self.plain = self._made("primitive_attr_create")
        self.execute = lib.dnnl_primitive_execute
        self.set_data = lib.dnnl_memory_set_data_handle

    def _made(self, name, *arguments):
        """Call `dnnl_<name>(&made, *arguments)` and return the `Owned` object that it has made."""
        made = Owned()
        status = getattr(self._lib, f"dnnl_{name}")(ctypes.byref(made), *arguments)
        if status:
            raise OneDNNError(f"dnnl_{name} failed with status {status}")
        kind = re.search(
            r"(memory_desc|memory|primitive_desc|primitive_attr|primitive|post_ops)_create", name
        )
        if kind:  # not the engine and the stream, which live as long as the process
            made.destroy = getattr(self._lib, f"dnnl_{kind[1]}_destroy")
        return made

    def followed_by(self, sum_, relu):
        """Return attributes by which a convolution adds its result to the output array, and applies ReLU.

        Args:
            sum_, relu: whether each of the two follows.
        """
        attributes, operations = self._made("primitive_attr_create"), self._made("post_ops_create")
        zero, one = ctypes.c_float(0), ctypes.c_float(1)
        if sum_:
            self._lib.dnnl_post_ops_append_sum(operations, one, 0, UNDEFINED)
        if relu:
            self._lib.dnnl_post_ops_append_eltwise(operations, ELTWISE_RELU, zero, zero)
        self._lib.dnnl_primitive_attr_set_post_ops(attributes, operations)
        return attributes

    def layout(self, shape, strides=None):
        """Return the description of a float32 array: contiguous without strides, in elements."""
        strides = contiguous(shape) if strides is None else strides
        return self._made(
            "memory_desc_create_with_strides", len(shape), _Dims(*shape), FLOAT32, _Dims(*strides)
        )

    def any_layout(self, shape):
        """Return the description of a float32 array whose layout the library may choose."""
        return self._made("memory_desc_create_with_tag", len(shape), _Dims(*shape), FLOAT32, ANY)

    def same_layout(self, one, other):
        return bool(self._lib.dnnl_memory_desc_equal(one, other))

    def size(self, layout):
        """Return the bytes of an array."""
        return self._lib.dnnl_memory_desc_get_size(layout)

    def memory(self, layout):
        """Return a memory object without data; `set_data` gives it some."""
        return self._made("memory_create", layout, self.engine, Pointer(0))

    def convolution(self, kind, layouts, strides, dilation, pads, forward=None, attributes=None):
        """Return the description of a convolution.

        Args:
            kind: "forward", "data" or "weights", the latter two of the gradients.
            layouts: (source, weights, bias or None, destination), or of their gradients.
            strides, dilation: of height and width; a dilation of 1 leaves no gap.
            pads: ((top, left), (bottom, right)).
            forward: the description of the forward pass; needed for gradients.
            attributes: as `followed_by` makes them.
        """
        source, weights, bias, destination = layouts
        geometry = (_Dims(*strides), _Dims(*(d - 1 for d in dilation)), *(_Dims(*pad) for pad in pads))
        attributes = attributes or self.plain
        if kind == "forward":
            return self._made(
                "convolution_forward_primitive_desc_create",
                *(self.engine, FORWARD_TRAINING, CONVOLUTION_DIRECT),
                *(source, weights, bias, destination, *geometry, attributes),
            )
        tensors = (source, weights, destination) if kind == "data" else (source, weights, None, destination)
        return self._made(
            f"convolution_backward_{kind}_primitive_desc_create",
            *(self.engine, CONVOLUTION_DIRECT, *tensors, *geometry, forward, attributes),
        )

    def reorder(self, source, destination):
        """Return the primitive that copies an array from one layout to another."""
        made = (source, self.engine, destination, self.engine, self.plain)
        return self.primitive(self._made("reorder_primitive_desc_create", *made))

    def primitive(self, description):
        return self._made("primitive_create", description)

    def layout_of(self, description, argument):
        """Return the layout that a primitive wants an argument in."""
        return Pointer(self._lib.dnnl_primitive_desc_query_md(description, QUERY_LAYOUT[argument], 0))

    def implementation(self, description):
        """Return the name of the kernel that a primitive uses, such as "brgconv:avx2"."""
        name = ctypes.c_char_p()
        self._lib.dnnl_primitive_desc_query(description, QUERY_IMPLEMENTATION, 0, ctypes.byref(name))
        return name.value.decode()


class Program:
    """Primitives with their arguments, executed one after another.

    Args:
        library: the `Library`.
        purpose: what they do, for the message of a failure, such as "compute a convolution".
    """

    def __init__(self, library, purpose):
        self._library, self._purpose = library, purpose
        self._references, self._calls = [], []

    def add(self, primitive, arguments):
        """Add a primitive with its arguments, [(number, memory object), ...]."""
        packed = (Argument * len(arguments))(*(Argument(number, memory) for number, memory in arguments))
        self._references.append((primitive, packed, arguments))
        self._calls.append((primitive.value, len(arguments), ctypes.addressof(packed)))

    def __call__(self):
        """Execute them on the data that the memory objects have now."""
        library = self._library
        for primitive, count, arguments in self._calls:
            if library.execute(primitive, library.stream, count, arguments):
                raise RuntimeError(f"oneDNN could not {self._purpose}")


def contiguous(shape):
    """Return the strides of a contiguous array, in elements."""
    strides = [1]
    for length in reversed(shape[1:]):
        strides.insert(0, strides[0] * length)
    return strides
