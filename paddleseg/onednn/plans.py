"""Plans: how one shape of convolution is computed, forward and backward."""

import collections
import contextlib
import itertools
import math
import os
import threading
import weakref
from typing import NamedTuple, Tuple

import numpy as np
from paddle.profiler import RecordEvent

from paddleseg.onednn.library import (
    BIAS,
    DIFF_DST,
    DIFF_SRC,
    DIFF_WEIGHTS,
    DST,
    SRC,
    WEIGHTS,
    Library,
    Program,
)

FLOAT_BYTES = 4
ALIGNMENT = 64  # of copies, in bytes
MOST_PLANS = 256  # of which those not used for longest go first; a whole training of two models has some 100


class Shape(NamedTuple):
    """What a plan is made for.

    Attributes:
        x: N, C, H, W of the input.
        weight: O, C / groups, kernel height and width.
        strides, dilation: of height and width.
        pads: ((top, left), (bottom, right)).
        groups: of channels.
        bias: whether a bias is added.
        adds: whether the output is added to what its array holds, before ReLU.
        relu: whether ReLU follows.
    """

    x: Tuple[int, int, int, int]
    weight: Tuple[int, int, int, int]
    strides: Tuple[int, int]
    dilation: Tuple[int, int]
    pads: Tuple[Tuple[int, int], Tuple[int, int]]
    groups: int = 1
    bias: bool = False
    adds: bool = False
    relu: bool = False

    @property
    def y(self):
        """N, O, H', W' of the output."""
        lengths = [
            (length + before + after - step * (kernel - 1) - 1) // stride + 1
            for length, kernel, stride, step, before, after in zip(
                self.x[2:], self.weight[2:], self.strides, self.dilation, *self.pads
            )
        ]
        return (self.x[0], self.weight[0], *lengths)

    @property
    def fits(self):
        """Whether the numbers are a convolution's, the channels fit together and the output has pixels."""
        if min(*self.strides, *self.dilation) < 1 or min(*self.pads[0], *self.pads[1]) < 0:
            return False
        channels = self.x[1] == self.weight[1] * self.groups and self.weight[0] % self.groups == 0
        return channels and min(self.y) > 0

    @property
    def keeps_size(self):
        """Whether the output has the size of the input, pixel upon pixel: stride 1, odd kernel, centred."""
        reach = tuple(step * (kernel // 2) for step, kernel in zip(self.dilation, self.weight[2:]))
        odd = all(kernel % 2 for kernel in self.weight[2:])
        return odd and self.strides == (1, 1) and self.pads == (reach, reach)

    @property
    def centre_only(self):
        """Whether the dilation passes the map, so that only the kernel's centre ever meets a pixel."""
        passes = all(step >= length for step, length in zip(self.dilation, self.x[2:]))
        return self.keeps_size and min(self.weight[2:]) > 1 and passes


class Call:
    """One primitive on plain arrays, with the copies to and from the layouts that the primitive wants.

    Args:
        library: the `Library`.
        scratch: the `Scratch` that holds the copies.
        description: of the primitive.
        inputs: [(argument, layout of the plain array), ...].
        output: the same.
    """

    def __init__(self, library, scratch, description, inputs, output):
        self._library = library
        before, after, final = [], [], []
        self._inputs = [library.memory(layout) for _, layout in inputs]
        self._output = library.memory(output[1])
        for (argument, plain), memory in zip((*inputs, output), (*self._inputs, self._output)):
            wanted = plain if argument == BIAS else library.layout_of(description, argument)
            if library.same_layout(plain, wanted):
                final.append((argument, memory))
                continue
            copy = library.memory(wanted)
            scratch.lend(copy, argument, library.size(wanted))
            final.append((argument, copy))
            if argument == output[0]:
                after.append((library.reorder(wanted, plain), ((SRC, copy), (DST, memory))))
            else:
                before.append((library.reorder(plain, wanted), ((SRC, memory), (DST, copy))))
        self._program = Program(library, "compute a convolution")
        for call in (*before, (library.primitive(description), final), *after):
            self._program.add(*call)

    def __call__(self, inputs, output):
        """Compute from the addresses of the input arrays to that of the output array."""
        library = self._library
        for memory, address in zip(self._inputs, inputs):
            library.set_data(memory, address)
        library.set_data(self._output, output)
        self._program()


class Scratch:
    """Buffers for copies in other layouts, one for each role, which all plans share."""

    def __init__(self, library):
        self._library = library
        self._buffers = {}
        self._users = collections.defaultdict(weakref.WeakSet)

    def lend(self, memory, role, size):
        """Give a memory object a buffer of at least `size` bytes; the buffer grows for all who share it."""
        self._users[role].add(memory)
        if self._buffers.get(role, np.empty(0)).nbytes < size + ALIGNMENT:
            self._buffers[role] = np.empty(size + ALIGNMENT, np.uint8)
            for user in self._users[role]:
                self._library.set_data(user, _aligned(self._buffers[role]))
        else:
            self._library.set_data(memory, _aligned(self._buffers[role]))


def _aligned(buffer):
    """Return the first address in a buffer at which vectors may start."""
    return -(-buffer.ctypes.data // ALIGNMENT) * ALIGNMENT


class Packed:
    """A weight in the layout that a plan computes with, so that it is not copied again in each call.

    Args:
        library: the `Library`.
        description: of the forward pass that takes the weight.
        plain: the layout of the array at `address`.
        address: of the weight.

    Attributes:
        layout: that of the packed weight.
        address: of the packed weight.
    """

    def __init__(self, library, description, plain, address):
        self._description = description  # the layout is part of it
        self.layout = library.layout_of(description, WEIGHTS)
        self._buffer = np.empty(library.size(self.layout) + ALIGNMENT, np.uint8)
        self.address = _aligned(self._buffer)
        source, packed = library.memory(plain), library.memory(self.layout)
        library.set_data(source, address)
        library.set_data(packed, self.address)
        program = Program(library, "copy a weight")
        program.add(library.reorder(plain, self.layout), [(SRC, source), (DST, packed)])
        program()


class Plan:
    """How one `Shape` is computed, forward and backward, from and to addresses of contiguous arrays."""

    def __init__(self, library, scratch, shape):
        self._library, self._scratch, self._shape = library, scratch, shape
        self._geometry = (shape.strides, shape.dilation, shape.pads)
        kernel, self._offset = shape.weight[2:], 0
        if shape.centre_only:
            kernel, self._geometry = (1, 1), ((1, 1), (1, 1), ((0, 0), (0, 0)))
            self._offset = FLOAT_BYTES * (math.prod(shape.weight[2:]) // 2)
        self._x, self._y = library.layout(shape.x), library.layout(shape.y)
        weight_shape, strides = _weight_layout(shape, kernel)
        self._weight = library.layout(weight_shape, strides)
        # The library may choose the layouts that it computes in, for which arrays are copied.
        self._free = [library.any_layout(one) for one in (shape.x, weight_shape, shape.y)]
        self.bias = library.layout(shape.weight[:1]) if shape.bias else None
        self._description = None
        self._calls = {}

    def forward(self, x, weight, bias, out):
        """Write the output; `bias` is an address, or None where the shape has none."""
        if "forward" not in self._calls:
            self._calls["forward"] = self._forward_call(self._forward(), self._weight)
        self._run_forward("forward", [x, weight + self._offset], bias, out)

    def forward_packed(self, x, packed, bias, out):
        """Write the output as `forward` does, with a `Packed` weight that this plan `takes`."""
        if "packed" not in self._calls:
            self._calls["packed"] = self._forward_call(self._forward(), self.layout(WEIGHTS))
        self._run_forward("packed", [x, packed.address], bias, out)

    def takes(self, packed):
        """Tell whether a `Packed` weight has the layout that this plan computes with."""
        return self._library.same_layout(packed.layout, self.layout(WEIGHTS))

    def layout(self, argument):
        """Return the layout of an argument in which the forward pass computes."""
        return self._library.layout_of(self._forward(), argument)

    def primitive(self):
        """Return the forward pass as a primitive for arrays in the layouts that it computes in."""
        return self._library.primitive(self._forward())

    def pack(self, weight):
        """Return the weight at an address as a `Packed`."""
        return Packed(self._library, self._forward(), self._weight, weight + self._offset)

    def _forward_call(self, description, weight):
        bias = [(BIAS, self.bias)] * self._shape.bias
        return self._call(description, [(SRC, self._x), (WEIGHTS, weight), *bias], (DST, self._y))

    def _run_forward(self, call, inputs, bias, out):
        with in_profile("conv2d"):
            self._calls[call]([*inputs, *([bias] * self._shape.bias)], out)

    def data_gradient(self, gradient, weight, out):
        """Write the gradient of the input, of the gradient of the output."""
        if "data" not in self._calls:
            description = self._describe("data", self._forward())
            inputs = [(DIFF_DST, self._y), (WEIGHTS, self._weight)]
            self._calls["data"] = self._call(description, inputs, (DIFF_SRC, self._x))
        with in_profile("conv2d_data_grad"):
            self._calls["data"]([gradient, weight + self._offset], out)

    def weight_gradient(self, x, gradient, out):
        """Write the gradient of the weight; into an array of zeros unless `fills_weight`."""
        with in_profile("conv2d_weight_grad"):
            for call, x_offset, gradient_offset, out_offset in self._of_weight():
                call([x + x_offset, gradient + gradient_offset], out + out_offset)

    @property
    def fills_weight(self):
        """Whether `weight_gradient` writes every number; else not those of taps that meet no pixel."""
        return len(self._of_weight()) == 1 and not self._shape.centre_only

    def _of_weight(self):
        if "weights" not in self._calls:
            self._calls["weights"] = self._weight_calls()
        return self._calls["weights"]

    def _forward(self):
        """Return the description of the forward pass."""
        if self._description is None:
            after = (self._shape.adds, self._shape.relu)
            attributes = self._library.followed_by(*after) if any(after) else None
            self._description = self._describe("forward", bias=self.bias, attributes=attributes)
        return self._description

    def _weight_calls(self):
        description = self._describe("weights", self._forward())
        shape = self._shape
        falls_back = "gemm" in self._library.implementation(description)
        if falls_back and shape.keeps_size and shape.groups == 1 and max(shape.dilation) > 1:
            return list(self._tap_calls())
        inputs = [(SRC, self._x), (DIFF_DST, self._y)]
        call = self._call(description, inputs, (DIFF_WEIGHTS, self._weight))
        return [(call, 0, 0, self._offset)]

    def _tap_calls(self):
        """Yield a 1 x 1 problem for each tap of the kernel, over the pixels that the tap meets.

        For some dilated kernels the library falls back to im2col; these problems take half as long.
        """
        (n, c, height, width), (o, _, rows, columns) = self._shape.x, self._shape.weight
        for row, column in itertools.product(range(rows), range(columns)):
            down, right = (
                (tap - kernel // 2) * step
                for tap, kernel, step in zip((row, column), (rows, columns), self._shape.dilation)
            )
            (top, bottom), (left, end) = _overlap(height, down), _overlap(width, right)
            if bottom <= top or end <= left:
                continue
            size = (bottom - top, end - left)
            x = self._library.layout((n, c, *size), (c * height * width, height * width, width, 1))
            y = self._library.layout((n, o, *size), (o * height * width, height * width, width, 1))
            taps = rows * columns
            weight = self._library.layout((o, c, 1, 1), (c * taps, taps, 1, 1))
            free = [self._library.any_layout(one) for one in ((n, c, *size), (o, c, 1, 1), (n, o, *size))]
            plain = ((1, 1), (1, 1), ((0, 0), (0, 0)))
            forward = self._describe("forward", free=free, geometry=plain)
            description = self._describe("weights", forward, free=free, geometry=plain)
            call = self._call(description, [(SRC, x), (DIFF_DST, y)], (DIFF_WEIGHTS, weight))
            offsets = ((top + down) * width + left + right, top * width + left, row * columns + column)
            yield (call, *(FLOAT_BYTES * offset for offset in offsets))

    def _describe(self, kind, forward=None, bias=None, attributes=None, free=None, geometry=None):
        x, weight, y = free or self._free
        layouts = (x, weight, bias, y)
        return self._library.convolution(kind, layouts, *(geometry or self._geometry), forward, attributes)

    def _call(self, description, inputs, output):
        return Call(self._library, self._scratch, description, inputs, output)


def in_profile(name):
    """Return a context that a profile counts as an operator; without a profiler it costs no time."""
    return RecordEvent(f"onednn_{name} compute")


def _weight_layout(shape, kernel):
    """Return (shape, strides) of the weight, or of its centre tap; groups are an axis of their own."""
    out, inside, *whole = shape.weight
    taps = math.prod(whole)
    lengths, strides = (out, inside, *kernel), (inside * taps, taps, kernel[1], 1)
    if shape.groups == 1:
        return lengths, strides
    per_group = out // shape.groups
    return (shape.groups, per_group, *lengths[1:]), (per_group * strides[0], *strides)


def _overlap(length, shift):
    """Return the outputs [first, last) of one axis whose input, `shift` further, lies inside."""
    return max(0, -shift), min(length, length - shift)


class Plans:
    """The plans of a process, made when first needed; one thread at a time uses them."""

    def __init__(self):
        self._forget()
        # A process that is forked while another thread computes would find the lock taken for good.
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self):
        self._lock = threading.Lock()
        self._library = self._scratch = None
        self._plans = collections.OrderedDict()

    def __len__(self):
        return len(self._plans)

    @contextlib.contextmanager
    def of(self, shape, planned=Plan):
        """Return a context with the plan of a shape, in which no other thread computes.

        Args:
            shape: what the plan is for, hashable.
            planned: the class of the plan, `planned(library, scratch, shape)`.
        """
        with self._lock:
            if self._library is None:
                self._library = Library()
                self._scratch = Scratch(self._library)
            plan = self._plans.pop(shape, None) or planned(self._library, self._scratch, shape)
            self._plans[shape] = plan
            if len(self._plans) > MOST_PLANS:
                self._plans.popitem(last=False)
            yield plan


PLANS = Plans()
