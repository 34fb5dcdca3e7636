"""What every architecture shares: how its logits leave it."""

import paddle.nn as nn
import paddle.nn.functional as F


class SegmentationModel(nn.Layer):
    """A backbone, and a head that turns its list of feature maps into a list of logits.

    `forward` maps images N x 3 x H x W to a list of N x num_classes x H x W of logits, the main ones first,
    and leaves that list on the model as `logit_list`, and as `head_logit_list` what was upsampled to it. A
    derived class sets `head`, or defines `decode`.

    Args:
        backbone: a layer that returns a list of feature maps and has `feat_channels`.
        align_corners: as in `paddle.nn.functional.interpolate`, for the last upsampling.
    """

    def __init__(self, backbone, align_corners=False):
        super().__init__()
        self.backbone = backbone
        self.align_corners = align_corners

    def decode(self, features):
        """Return the list of logits, each at a size of its own, of the backbone's list of feature maps."""
        return self.head(features)

    def head_logits(self, x):
        """Return the list of logits of images N x 3 x H x W, each N x num_classes x h x w of the head's size.

        The list is left on the model as `head_logit_list`.
        """
        self.head_logit_list = list(self.decode(self.backbone(x)))
        return list(self.head_logit_list)

    def upsampled(self, logits, size):
        """Return a list of what `head_logits` gave, resized bilinearly to `size`, (H, W)."""
        return [F.interpolate(one, size, mode="bilinear", align_corners=self.align_corners) for one in logits]

    def forward(self, x):
        self.logit_list = self.upsampled(self.head_logits(x), x.shape[2:])
        return list(self.logit_list)
