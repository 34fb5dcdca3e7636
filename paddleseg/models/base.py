"""What every architecture shares: how its logits leave it."""

import paddle.nn as nn
import paddle.nn.functional as F


class SegmentationModel(nn.Layer):
    """A backbone, and a head that turns its list of feature maps into a list of logits.

    `forward` maps images N x 3 x H x W to a list of N x num_classes x H x W of logits, the main ones first,
    and leaves that list on the model as `logit_list`. A derived class sets `head`, or defines `decode`.

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

    def forward(self, x):
        logits = self.decode(self.backbone(x))
        self.logit_list = [
            F.interpolate(one, x.shape[2:], mode="bilinear", align_corners=self.align_corners)
            for one in logits
        ]
        return list(self.logit_list)
