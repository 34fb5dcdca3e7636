"""A convolution by oneDNN as an operator with gradients."""

import weakref

import paddle
from paddle.autograd import PyLayer

from paddleseg.errors import UserError
from paddleseg.onednn.plans import PLANS

# With one list of tensors, `paddle.grad` of a part of them works. Paddle 2 gives a list wrong gradients.
_IN_A_LIST = not paddle.__version__.startswith("2.")


def computed(x, weight, bias, shape):
    """Return the convolution of a `Shape`, without a gradient; the bias counts only if the shape has one."""
    x, weight = contiguous(x), contiguous(weight)
    bias = contiguous(bias) if shape.bias else None
    y = paddle.empty(shape.y, x.dtype)
    with PLANS.of(shape) as plan:
        plan.forward(x.data_ptr(), weight.data_ptr(), bias.data_ptr() if shape.bias else None, y.data_ptr())
    return y


def differentiable(x, weight, shape):
    """Return the convolution of a `Shape`, without bias, of which x, weight or both have a gradient."""
    problem = _Problem(x, weight, shape)
    wanting = [tensor for tensor in (x, weight) if not tensor.stop_gradient]
    y = _Convolution.apply(wanting, problem) if _IN_A_LIST else _Convolution.apply(*wanting, problem)
    alive = weakref.ref(problem)

    def check(_):
        # The first backward pass frees the problem; Paddle's second one would end the process by a crash.
        if alive() is None:
            raise UserError(
                "a second backward pass through a convolution needs conv_engine paddle; "
                "or call backward once, for the sum of the losses"
            )

    y.register_hook(check)
    return y


def contiguous(tensor):
    """Return the tensor, copied if its numbers do not follow one another in memory."""
    return tensor if tensor.is_contiguous() else tensor.contiguous()


class _Convolution(PyLayer):
    """The operator. Its arguments are the tensors with a gradient, then the `_Problem`."""

    @staticmethod
    def forward(ctx, *arguments):
        ctx.problem = problem = arguments[-1]
        return computed(problem.x, problem.weight, None, problem.shape)

    @staticmethod
    def backward(ctx, gradient):
        found = ctx.problem.gradients(gradient)
        return found if _IN_A_LIST else tuple(found)


class _Problem:
    """A convolution to differentiate.

    Args:
        x, weight: its tensors.
        shape: their `Shape`.
    """

    def __init__(self, x, weight, shape):
        self.x, self.weight, self.shape = x, weight, shape
        self._wanted = (not x.stop_gradient, not weight.stop_gradient)
        self._versions = self._current_versions()

    def _current_versions(self):
        """Return how often the input and the weight were changed in place, where a gradient reads them."""
        of_x, of_weight = self._wanted
        return (of_weight and self.x._inplace_version(), of_x and self.weight._inplace_version())

    def gradients(self, gradient):
        """Return the list of the gradients that are wanted, for that of the output."""
        if self._current_versions() != self._versions:
            raise UserError("a convolution's input or weight was changed in place before its gradient")
        # With gradients enabled, a gradient of this gradient is wanted, which Paddle alone has.
        found = self._by_paddle(gradient) if paddle.is_grad_enabled() else self._by_onednn(gradient)
        return [one for one, wanted in zip(found, self._wanted) if wanted]

    def _by_onednn(self, gradient):
        x, weight, gradient = (contiguous(tensor) for tensor in (self.x, self.weight, gradient))
        of_x = of_weight = None
        with PLANS.of(self.shape) as plan:
            if self._wanted[0]:
                of_x = paddle.empty(x.shape, x.dtype)
                plan.data_gradient(gradient.data_ptr(), weight.data_ptr(), of_x.data_ptr())
            if self._wanted[1]:
                made = paddle.empty if plan.fills_weight else paddle.zeros
                of_weight = made(weight.shape, weight.dtype)
                plan.weight_gradient(x.data_ptr(), gradient.data_ptr(), of_weight.data_ptr())
        return of_x, of_weight

    def _by_paddle(self, gradient):
        """Return the gradients by Paddle's operator, which has gradients itself."""
        if not hasattr(paddle._C_ops, "conv2d_grad"):
            raise UserError("a gradient of a convolution's gradient needs Paddle 3, or conv_engine paddle")
        shape = self.shape
        (top, left), (bottom, right) = shape.pads
        return paddle._C_ops.conv2d_grad(
            *(self.x, self.weight, gradient, list(shape.strides), [top, bottom, left, right]),
            *("EXPLICIT", list(shape.dilation), shape.groups, "NCHW"),
        )
