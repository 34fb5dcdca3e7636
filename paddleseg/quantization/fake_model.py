"""A model with fake-quantised convolutions: made of a trained one, calibrated, and its ranges for a file."""

import os
import tempfile

import paddle

from paddleseg.errors import UserError, counted
from paddleseg.exporting.exporter import ExportedModel
from paddleseg.graphs import onnx_file
from paddleseg.quantization import qdq
from paddleseg.quantization.conv_sites import conv_sites
from paddleseg.quantization.fake_layers import ActivationRange, FakeQuantizedConv2D, ranges
from paddleseg.utils.logger import logger


def fake_quantize(model, shape=(-1, 3, -1, -1)):
    """Fake-quantise the convolutions of a model, in place, where its INT8 file will quantise them.

    That is at their inputs, weights and outputs; a ReLU behind a convolution counts as part of it. Heads that
    an export leaves out, other layers and other operations compute in float.

    Args:
        model: a layer with trained weights, in eval mode; maps N x C x H x W to a list of logits.
        shape: [N, C, H, W] of the input in the INT8 file, -1 where any size will do. Default (-1, 3, -1, -1).

    Returns:
        The list of `ConvSite`.

    Raises:
        UserError: the model cannot be made an ONNX file, or has no convolution that can be fake-quantised.
    """
    with tempfile.TemporaryDirectory() as folder:
        exported = ExportedModel(model, "none")
        exported.eval()
        path = os.path.join(folder, onnx_file.write(exported, folder, list(shape)))
        folded = os.path.join(folder, "folded.onnx")
        qdq.folded(path, folded)
        sites = conv_sites(qdq.read_onnx(path), qdq.read_onnx(folded), model)
    if not sites:
        raise UserError(
            f"{type(model).__name__} has no convolution to quantise: no nn.Conv2D that runs once, pads "
            f"with zeros and has no parameter of 1 x C x 1 x 1 multiplied or added behind it"
        )
    _take(dict(model.named_sublayers()), sites)
    logger.info(
        f"quantised in training: {counted(len(sites), 'convolution')} of {type(model).__name__}, with "
        f"{counted(len(ranges(model)), 'range')} of activations"
    )
    return sites


def _take(layers, sites):
    found = {}  # the `ActivationRange` of each tensor
    computed = {name for site in sites for name in site.outputs}
    for site in sites:
        conv, norm = layers[site.layer], layers.get(site.norm)
        quantises = site.source not in computed
        FakeQuantizedConv2D.take(conv, norm, found.get(site.source), quantises, site.limits, site.layer)
        found[site.source] = conv.source_range
        found.update(dict.fromkeys(site.outputs, conv.output_range))


@paddle.no_grad()
def calibrate(model, batches):
    """Set the ranges of a fake-quantised model to the extremes of the float model.

    Args:
        model: what `fake_quantize` has changed; in eval mode.
        batches: iterable of images, float32 N x C x H x W.
    """
    for layer in ranges(model):
        layer.calibrating = True
    for images in batches:
        model(images)
    for name, layer in model.named_sublayers():
        if isinstance(layer, ActivationRange):
            layer.calibrating = False
            if not bool(paddle.isfinite(layer.low + layer.high)):
                raise UserError(f"the activations at {name} are not finite on the calibration images")


def tensor_ranges(model, sites):
    """Return {tensor: (low, high)} of a fake-quantised model, as `qdq.write_int8` takes them.

    Args:
        model: what `fake_quantize` has changed.
        sites: what it has returned.
    """
    layers, found = dict(model.named_sublayers()), {}
    for site in sites:
        conv = layers[site.layer]
        found[site.source] = conv.source_range
        found.update(dict.fromkeys(site.outputs, conv.output_range))
    return {name: (float(layer.low), float(layer.high)) for name, layer in found.items()}
