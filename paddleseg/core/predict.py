"""A model's mask for one image, at the image's own size."""

import paddle

from paddleseg.core.inference import WHOLE, classes, infer


def predict(model, image, size, config=WHOLE, trans_info=()):
    """Return the class of each pixel, uint8 of shape `size`.

    Args:
        model: in eval mode; maps N x C x H x W to a list of logits, the main one first.
        image: float32 C x H x W, an array as the transforms give it.
        size: (height, width) of the mask.
        config, trans_info: as `inference.infer` takes them.
    """
    logits = infer(model, paddle.to_tensor(image[None]), size, config, trans_info)
    return classes(logits)[0].numpy().astype("uint8")
