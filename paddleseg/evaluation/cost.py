"""The cost of a model and of its parts: parameters, operations and time."""

import collections
import contextlib
import dataclasses
import time

import numpy as np
import paddle
import paddle.nn as nn

from paddleseg import parallel
from paddleseg.cvlibs import SegBuilder
from paddleseg.errors import UserError, one_line
from paddleseg.evaluation.inference import MODEL_ERRORS, eval_mode

REST = "the rest"
RUNNING_STATISTICS = ("_mean", "_variance")


@dataclasses.dataclass
class Cost:
    """The cost of a model or of one part of it.

    Attributes:
        parameters: number of trained and frozen parameters, without running statistics.
        flops: floating-point operations of one forward pass; a multiplication and an addition are two.
        seconds: median time of one forward pass; None if it was not measured.
        uncounted: names of layer classes that have parameters but no formula in `FORMULAS`. Classes
            whose parameters are single numbers, such as a learnt scale, are not among them.
    """

    parameters: int = 0
    flops: int = 0
    seconds: float = None
    uncounted: tuple = ()


def measure(model, shape, repeats=10, warmup=3):
    """Return {part: Cost} of a model in eval mode, with the whole under "total".

    The parts are the model's direct sublayers ("backbone", "head"). Time outside of them, such as that of the
    last upsampling, is `REST`. Only the operations of layers are counted; those of functions between layers,
    such as additions and interpolations, are about 1 % of all.

    Args:
        model: a `paddle.nn.Layer`. Its training mode is restored afterwards.
        shape: of the input, [N, C, H, W].
        repeats: number of forward passes that are timed, may be 0. Default 10.
        warmup: number of forward passes before these. Default 3.
    """
    image = paddle.randn(shape)
    with eval_mode(model):
        costs = _operations(model, image)
        if repeats:
            for part, seconds in _times(model, image, repeats, warmup).items():
                costs.setdefault(part, Cost()).seconds = seconds
    for name, part in [*model.named_children(), ("total", model)]:
        costs[name].parameters = parameter_count(part)
    return costs


def parameter_count(layer):
    """Return the number of parameters of a layer or of a state dict, without running statistics.

    Paddle lists these statistics, which have no gradient, among a layer's parameters.
    """
    named = layer.items() if isinstance(layer, dict) else layer.named_parameters()
    return int(sum(np.prod(p.shape) for name, p in named if name.split(".")[-1] not in RUNNING_STATISTICS))


def _operations(model, image):
    """Return {part: Cost} with the operations of one forward pass."""
    parts = dict(model.named_children())
    flops, uncounted = collections.Counter(), {part: set() for part in parts}
    with contextlib.ExitStack() as hooks:
        for part, layer in parts.items():
            for leaf in layer.sublayers(include_self=True):
                formula = next((FORMULAS[classes] for classes in FORMULAS if isinstance(leaf, classes)), None)
                if formula is not None:
                    hooks.callback(leaf.register_forward_post_hook(_counter(flops, part, formula)).remove)
                elif any(np.prod(p.shape) > 1 for p in leaf.parameters(include_sublayers=False)):
                    uncounted[part].add(type(leaf).__name__)
        model(image)
    costs = {part: Cost(flops=flops[part], uncounted=tuple(sorted(uncounted[part]))) for part in parts}
    everything = set().union(*uncounted.values())
    return {**costs, "total": Cost(flops=sum(flops.values()), uncounted=tuple(sorted(everything)))}


def _counter(flops, part, formula):
    def count(layer, inputs, output):
        flops[part] += int(formula(layer, inputs[0], output))

    return count


def _times(model, image, repeats, warmup):
    """Return {part: median seconds of a forward pass}."""
    spent = collections.defaultdict(list)
    with contextlib.ExitStack() as hooks:
        for part, child in model.named_children():
            for layer in _called(child):
                start = layer.register_forward_pre_hook(lambda *_, part=part: spent[part].append(-_now()))
                stop = layer.register_forward_post_hook(lambda *_, part=part: _stop(spent[part]))
                hooks.callback(start.remove)
                hooks.callback(stop.remove)
        for i in range(warmup + repeats):
            if i == warmup:
                spent.clear()
            spent["total"].append(-_now())
            model(image)
            _stop(spent["total"])
    # A part that is called several times in a pass has an entry for each call; they add up.
    seconds = {p: float(np.median(np.reshape(t, (repeats, -1)).sum(axis=1))) for p, t in spent.items()}
    in_parts = sum(value for part, value in seconds.items() if part != "total")
    return {**seconds, REST: max(seconds["total"] - in_parts, 0.0)}


def _called(layer):
    """Return the layer or, if it has no `forward` of its own, the layers that are called in its place."""
    if type(layer).forward is not nn.Layer.forward:
        return [layer]
    return [called for child in layer.children() for called in _called(child)]


def _stop(entries):
    entries[-1] += _now()


def _now():
    """Return the time once the device has done all its work."""
    if paddle.get_device().startswith("gpu"):
        paddle.device.cuda.synchronize()
    return time.perf_counter()


def _convolution(layer, x, y):
    # An output number takes a multiplication and an addition for each input channel of its group and each
    # position of the kernel.
    weights_per_output = np.prod(layer.weight.shape[1:])
    return np.prod(y.shape) * (2 * weights_per_output + (layer.bias is not None))


def _transposed_convolution(layer, x, y):
    weights_per_input = np.prod(layer.weight.shape[1:])
    return np.prod(x.shape) * 2 * weights_per_input + np.prod(y.shape) * (layer.bias is not None)


def _linear(layer, x, y):
    return np.prod(y.shape) * (2 * layer.weight.shape[0] + (layer.bias is not None))


NORMS = (nn.BatchNorm, nn.BatchNorm1D, nn.BatchNorm2D, nn.BatchNorm3D, nn.SyncBatchNorm)
NORMS += (nn.GroupNorm, nn.LayerNorm, nn.InstanceNorm2D)
POOLS = (nn.AvgPool2D, nn.AdaptiveAvgPool2D, nn.MaxPool2D, nn.AdaptiveMaxPool2D)
ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.Sigmoid, nn.Tanh, nn.Hardsigmoid, nn.Hardswish)
# {layer classes: the operations of such a layer, from layer, input x and output y}
FORMULAS = {
    (nn.Conv1D, nn.Conv2D, nn.Conv3D): _convolution,
    (nn.Conv1DTranspose, nn.Conv2DTranspose, nn.Conv3DTranspose): _transposed_convolution,
    nn.Linear: _linear,
    # In eval mode a norm is one scale and one shift.
    (*NORMS, nn.PReLU): lambda layer, x, y: 2 * np.prod(x.shape),
    POOLS: lambda layer, x, y: np.prod(x.shape),
    ACTIVATIONS: lambda layer, x, y: np.prod(y.shape),
}


def cost_table(cfg, options):
    """Return the cost of each part of a config's model, a table as lines of text.

    Args:
        cfg: the `Config` of the model; its weights are not read.
        options: `CostOptions`.

    Raises:
        UserError: the model does not run on an input of that shape.
    """
    parallel.set_device(options.device, options.conv_engine)
    shape = list(options.input_shape or (1, cfg.img_channels, 512, 512))
    model = SegBuilder(cfg.drop_pretrained()).model
    try:
        costs = measure(model, shape, options.repeats)
    except MODEL_ERRORS as error:
        reason = one_line(error)[:300]
        raise UserError(f"{cfg.path}: the model does not run on an input of {shape}: {reason}") from error
    lines = [
        "",
        f"{cfg.path}, input {' x '.join(map(str, shape))} ({paddle.get_device()})",
        f"{'part':<14} {'parameters':>12} {'GFLOPs':>10} {'ms':>10}",
    ]
    total = costs.pop("total")
    for part, cost in [*costs.items(), ("total", total)]:
        ms = "" if cost.seconds is None else f"{1000 * cost.seconds:.1f}"
        lines.append(f"{part:<14} {cost.parameters:>12,} {cost.flops / 1e9:>10.3f} {ms:>10}")
    if total.uncounted:
        lines.append(f"without the operations of {', '.join(total.uncounted)}, for which there is no formula")
    return lines
