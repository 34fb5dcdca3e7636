"""Load weights, by the names under which PaddleSeg's users call it from their model files."""

from paddleseg.errors import UserError
from paddleseg.utils.logger import logger
from paddleseg.weights.download import cached_file
from paddleseg.weights.load import load_weights, read_weights, refuse_bits

__all__ = ["download_pretrained_model", "load_entire_model", "load_pretrained_model"]
MOST_NAMED = 8


def load_entire_model(model, pretrained):
    """Load the weights of a whole model; keys and shapes must be the same.

    Args:
        model: a `paddle.nn.Layer`.
        pretrained: path or URL, as in `paddleseg.weights.read_weights`; None leaves the model as it is.

    Raises:
        UserError: the file's weights are not the model's.
    """
    if pretrained is not None:
        load_weights(model, pretrained)


def load_pretrained_model(model, pretrained_model):
    """Load those weights of a file that fit, and warn of the layers that keep their initial weights.

    It is for backbones: they may have been trained with another head, at another size or without some layers.

    Args:
        model: a `paddle.nn.Layer`.
        pretrained_model: path or URL, as in `paddleseg.weights.read_weights`; None leaves the model as it is.

    Raises:
        UserError: no weight of the file fits, or the file holds bits of bfloat16.
    """
    if pretrained_model is None:
        return
    own, weights, name = model.state_dict(), read_weights(pretrained_model), type(model).__name__
    refuse_bits(own, weights, pretrained_model)
    fitting = {
        key: weights[key].astype(tensor.numpy().dtype)
        for key, tensor in own.items()
        if key in weights and list(weights[key].shape) == list(tensor.shape)
    }
    if not fitting:
        raise UserError(f"none of the weights in {pretrained_model} is of {name}: no key and shape fits")
    model.set_state_dict({**own, **fitting})
    logger.info(f"{name}: {len(fitting)} of {len(own)} weights loaded from {pretrained_model}")
    initial = [key for key in own if key not in fitting]
    if initial:
        more = f" and {len(initial) - MOST_NAMED} more" if len(initial) > MOST_NAMED else ""
        logger.warning(f"{name} keeps its initial weights for {', '.join(initial[:MOST_NAMED])}{more}")


def download_pretrained_model(pretrained_model):
    """Return the path of a file of weights that is downloaded from a URL once, and kept."""
    return str(cached_file(pretrained_model))
