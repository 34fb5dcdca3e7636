"""A model's mask for one image, at the image's own size."""

import paddle
import paddle.nn.functional as F

from paddleseg.models.losses.combine import output_list


@paddle.no_grad()
def predict(model, image, size):
    """Return the class of each pixel, uint8 of shape `size`.

    Args:
        model: in eval mode; maps N x C x H x W to a list of logits, the main one first.
        image: float32 C x H x W, an array as the transforms give it.
        size: (height, width) of the mask; the logits are resized to it bilinearly.
    """
    logits = output_list(model(paddle.to_tensor(image[None])))[0]
    return classes_at(logits, size)[0].numpy().astype("uint8")


def classes_at(logits, size):
    """Return the class of each pixel, int64 N x H x W, of logits resized bilinearly to `size` (H, W)."""
    return paddle.argmax(F.interpolate(logits, list(size), mode="bilinear"), axis=1)
