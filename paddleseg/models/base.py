"""The common parts of all backbones and of all architectures."""

import paddle.nn as nn

from paddleseg.cvlibs import manager
from paddleseg.models.layers.interpolate import interpolate
from paddleseg.weights.load import load_weights


class Backbone(nn.Layer):
    """Images N x in_channels x H x W to a list of feature maps, the finest first.

    Args:
        in_channels: channels of the image.
        pretrained: path or URL of a backbone's weights; None keeps the random ones.

    Attributes:
        feat_channels: the channels of each feature map.
    """

    @classmethod
    def variant(cls, name, **attributes):
        """Register and return the subclass `name`, which differs in these class attributes only."""
        differences = ", ".join(f"{key}={value}" for key, value in attributes.items())
        members = {"__doc__": f"`{cls.__name__}` with {differences}.", "__module__": cls.__module__}
        return manager.BACKBONES.add_component(type(name, (cls,), {**members, **attributes}))


class SegmentationModel(nn.Layer):
    """A backbone, and a head that turns its list of feature maps into a list of logits.

    `forward` maps images N x 3 x H x W to a list of logits N x num_classes x H x W, the main ones first. It
    leaves that list on the model as `logit_list`, and the logits before upsampling as `head_logit_list`. A
    derived class sets `head`, or defines `decode`, and takes all these parameters.

    Args:
        num_classes: number of classes.
        backbone: a layer that returns a list of feature maps and has `feat_channels`.
        align_corners: as in `paddle.nn.functional.interpolate`, for the last upsampling.
        pretrained: path or URL of the whole model's weights; None keeps the initial weights.
    """

    def __init__(self, backbone, align_corners=False):
        super().__init__()
        self.backbone = backbone
        self.align_corners = align_corners

    def load(self, pretrained):
        """Load the whole model's weights from a path or URL, if there is one.

        Raises:
            UserError: weights that do not match.
        """
        if pretrained is not None:
            load_weights(self, pretrained)

    def decode(self, features):
        """Return the list of logits, each at its own size, of the backbone's list of feature maps."""
        return self.head(features)

    def head_logits(self, x):
        """Return the list of logits of images N x 3 x H x W, each N x num_classes x h x w of the head's size.

        The list is left on the model as `head_logit_list`.
        """
        self.head_logit_list = list(self.decode(self.backbone(x)))
        return list(self.head_logit_list)

    def upsampled(self, logits, size):
        """Return the list of logits from `head_logits`, resized bilinearly to `size`, (H, W)."""
        return [interpolate(one, size, mode="bilinear", align_corners=self.align_corners) for one in logits]

    def forward(self, x):
        self.logit_list = self.upsampled(self.head_logits(x), x.shape[2:])
        return list(self.logit_list)
