"""The key `model.pruned_channels` of a config: how many channels each layer of its pruned model has."""

import paddle
import paddle.nn as nn

from paddleseg.errors import UserError, suggestion

_NORM = nn.layer.norm._BatchNormBase
STATISTICS = ("_mean", "_variance")


def of_model(model, shapes):
    """Return the `pruned_channels` of a model whose tensors have got other shapes.

    Args:
        model: the model before pruning, a `paddle.nn.Layer`.
        shapes: {name of a parameter: its shape after pruning}.

    Returns:
        {layer: [output channels, input channels of a group]} of the convolutions that have changed, and
        {layer: [channels]} of the batch norms.

    Raises:
        UserError: a layer of another kind has changed.
    """
    channels = {}
    for name, layer in model.named_sublayers():
        for key, param in layer.named_parameters(include_sublayers=False):
            if shapes[f"{name}.{key}"] != list(param.shape):
                channels[name] = shapes[f"{name}.weight"][: _axes(name, layer)]
    return channels


def narrow(model, channels):
    """Give the layers of a model the channels of its pruned form, in place.

    A layer keeps its first channels, so that it has initial weights. The weights of the pruned model must be
    loaded afterwards.

    Args:
        model: the model that the config describes, before pruning.
        channels: {layer: sizes}, the value of `pruned_channels`.

    Raises:
        UserError: there is no such layer, or it cannot have these channels.
    """
    layers = dict(model.named_sublayers())
    for name, sizes in channels.items():
        if name not in layers:
            raise UserError(f"the model has no layer {name!r}; {suggestion(name, layers)}")
        layer, axes = layers[name], _axes(name, layers[name])
        before = list(layer.weight.shape[:axes])
        if len(sizes) != axes or any(size > full for size, full in zip(sizes, before)):
            raise UserError(f"{name} has the channels {before} before pruning, so it cannot have {sizes}")
        if axes == 1:
            _narrow_norm(layer, *sizes)
        else:
            _narrow_convolution(name, layer, *sizes)


def _axes(name, layer):
    """Return how many axes of a layer's weight are channels."""
    if isinstance(layer, nn.Conv2D):
        return 2
    if isinstance(layer, _NORM):
        return 1
    raise UserError(f"{name} is a {type(layer).__name__}; only Conv2D and batch norms can be pruned")


def _narrow_norm(layer, channels):
    for key in ("weight", "bias", *STATISTICS):
        _cut(layer, key, [channels])
    layer._num_features = channels


def _narrow_convolution(name, layer, out_channels, in_channels):
    # A group stays whole or goes: those that remain have as many output channels as before.
    of_group = layer.weight.shape[0] // layer._groups
    if layer._groups > 1:
        if out_channels % of_group or in_channels != layer.weight.shape[1]:
            raise UserError(
                f"{name} has groups of {of_group} x {layer.weight.shape[1]} channels, so it cannot have "
                f"{[out_channels, in_channels]}"
            )
        layer._groups = out_channels // of_group
    _cut(layer, "weight", [out_channels, in_channels])
    _cut(layer, "bias", [out_channels])
    layer._out_channels, layer._in_channels = out_channels, in_channels * layer._groups


def _cut(layer, key, sizes):
    """Replace a parameter of a layer by its first `sizes` along the first axes."""
    old = getattr(layer, key)
    if old is None:
        return
    attr = paddle.ParamAttr(
        learning_rate=old.optimize_attr["learning_rate"],
        regularizer=old.regularizer,
        trainable=old.trainable,
        need_clip=old.need_clip,
    )
    new = layer.create_parameter([*sizes, *old.shape[len(sizes) :]], attr=attr, dtype=old.dtype)
    new.set_value(old[tuple(slice(size) for size in sizes)].detach())
    new.stop_gradient = old.stop_gradient
    setattr(layer, key, new)
