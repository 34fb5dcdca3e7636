"""Frozen residual blocks one after another, whose maps stay in the layout that oneDNN computes in."""

import ctypes
from typing import NamedTuple, Optional, Tuple

import paddle
import paddle.nn as nn

from paddleseg.onednn import convolution
from paddleseg.onednn.fused import can_fuse, folded_of
from paddleseg.onednn.library import BIAS, DST, SRC, WEIGHTS, Program
from paddleseg.onednn.plans import PLANS, Plan, Shape, in_profile


class Residual(NamedTuple):
    """A block whose output is ReLU of the sum of convolutions, one after another, and a shortcut.

    Attributes:
        convs: ((nn.Conv2D, nn.BatchNorm2D), ...), at least two. ReLU follows all but the last.
        short: (nn.Conv2D, nn.BatchNorm2D), which project the input; None adds the input as it is.
    """

    convs: Tuple[Tuple[nn.Layer, nn.Layer], ...]
    short: Optional[Tuple[nn.Layer, nn.Layer]]

    @property
    def pairs(self):
        """The layers of the shortcut, if it has some, then of the convolutions."""
        return [*([self.short] if self.short else []), *self.convs]


@paddle.jit.not_to_static
def fused_residuals(blocks, x):
    """Return the output of frozen residual blocks, without gradients.

    Between two convolutions no map is copied from Paddle's layout and back, and the sum and ReLU of a block
    belong to its last convolution.

    Args:
        blocks: `Residual`s, of which each takes the output of the one before.
        x: N x C x H x W.

    Returns:
        N x C' x H' x W'. None if `fused` would not fuse the layers of all blocks, or maps do not fit.
    """
    pairs = [pair for block in blocks for pair in block.pairs]
    if not all(can_fuse(conv, norm, x) and convolution.is_plain(x, conv.weight) for conv, norm in pairs):
        return None
    shapes = _shapes(blocks, tuple(x.shape))
    if shapes is None:
        return None
    x, y = convolution.contiguous(x), paddle.empty(shapes[-1].convs[-1].y, x.dtype)
    with PLANS.of(shapes, _Chain) as chain:
        folded = [folded_of(*pair, plan) for pair, plan in zip(pairs, chain.plans)]
        chain(x.data_ptr(), [(weight.address, bias.data_ptr()) for weight, bias in folded], y.data_ptr())
    return y


class _Shapes(NamedTuple):
    """The `Shape`s of a `Residual`."""

    convs: Tuple[Shape, ...]
    short: Optional[Shape]


def _shapes(blocks, size):
    """Return a tuple of the `_Shapes` of each block for a map of (N, C, H, W); None if a map does not fit."""
    found = []
    for block in blocks:
        start, convs = size, []
        for k, (conv, _) in enumerate(block.convs):
            last = k == len(block.convs) - 1
            shape = convolution.folded_shape(size, conv, adds=last, relu=True)
            if shape is None:
                return None
            convs.append(shape)
            size = shape.y
        short = convolution.folded_shape(start, block.short[0]) if block.short else None
        if (short.y if short else start) != size or len(convs) < 2:
            return None
        found.append(_Shapes(tuple(convs), short))
    return tuple(found)


class _Map(NamedTuple):
    """A map between two convolutions.

    Attributes:
        memory: the memory object.
        layout: its layout.
        role: of its buffer in the `Scratch`.
    """

    memory: ctypes.c_void_p
    layout: ctypes.c_void_p
    role: str


class _Chain:
    """How residual blocks of given `_Shapes` are computed, from and to addresses of contiguous arrays.

    The map that goes from block to block is in the buffer "map 0" or "map 1". The last convolution of a block
    adds to it in place. The maps inside a block are in two buffers by turns.

    Attributes:
        plans: the `Plan` of each convolution, in the order of `Residual.pairs`.
    """

    def __init__(self, library, scratch, blocks):
        self._library, self._scratch = library, scratch
        self.plans, self._weights, self._plan_of = [], [], {}
        self._program = Program(library, "compute a residual block")
        plain_x, plain_y = library.layout(blocks[0].convs[0].x), library.layout(blocks[-1].convs[-1].y)
        self._x, self._y = library.memory(plain_x), library.memory(plain_y)
        current = _Map(self._x, plain_x, "x")
        for block in blocks:
            current = self._add_block(block, current)
        self._program.add(library.reorder(current.layout, plain_y), [(SRC, current.memory), (DST, self._y)])

    def _add_block(self, block, x):
        short = self._planned(block.short) if block.short else None
        plans = [self._planned(shape) for shape in block.convs]
        if x.memory is self._x:  # the caller's array, to which nothing may be added
            x = self._copied(x, plans[0].layout(SRC), _other(x.role))
        if short:
            total = self._add_conv(short, x, _other(x.role))
        else:
            total = x = self._in_layout(x, plans[-1].layout(DST), _other(x.role))
        for k, plan in enumerate(plans[:-1]):
            x = self._add_conv(plan, x, f"inner {k % 2}")
        total = self._in_layout(total, plans[-1].layout(DST), _other(total.role))
        return self._add_conv(plans[-1], x, total.role, total)

    def _planned(self, shape):
        """Return the `Plan` of a shape, which the convolutions of this shape share."""
        if shape not in self._plan_of:
            self._plan_of[shape] = Plan(self._library, self._scratch, shape)
        self.plans.append(self._plan_of[shape])
        return self.plans[-1]

    def _add_conv(self, plan, x, role, y=None):
        """Add a convolution of the map x into the map y, by default a new one; return it."""
        x = self._in_layout(x, plan.layout(SRC), "copy")
        y = y or self._map(plan.layout(DST), role)
        weight = self._library.memory(plan.layout(WEIGHTS))
        bias = self._library.memory(plan.bias)
        self._weights.append((weight, bias))
        arguments = [(SRC, x.memory), (WEIGHTS, weight), (BIAS, bias), (DST, y.memory)]
        self._program.add(plan.primitive(), arguments)
        return y

    def _in_layout(self, x, layout, role):
        """Return a map in a layout: x itself, or a copy."""
        return x if self._library.same_layout(x.layout, layout) else self._copied(x, layout, role)

    def _copied(self, x, layout, role):
        copy = self._map(layout, role)
        self._program.add(self._library.reorder(x.layout, layout), [(SRC, x.memory), (DST, copy.memory)])
        return copy

    def _map(self, layout, role):
        memory = self._library.memory(layout)
        self._scratch.lend(memory, role, self._library.size(layout))
        return _Map(memory, layout, role)

    def __call__(self, x, weights, y):
        """Compute from the address of x to that of y.

        Args:
            weights: (address of the packed weight, address of the bias) for each of `plans`.
        """
        library = self._library
        library.set_data(self._x, x)
        library.set_data(self._y, y)
        for memories, addresses in zip(self._weights, weights):
            for memory, address in zip(memories, addresses):
                library.set_data(memory, address)
        with in_profile("residuals"):
            self._program()


def _other(role):
    """Return the role of the buffer for the next map from block to block."""
    return "map 1" if role == "map 0" else "map 0"
