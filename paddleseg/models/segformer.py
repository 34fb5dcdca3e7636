"""SegFormer."""

from typing import Optional

import paddle
import paddle.nn as nn

from paddleseg.cvlibs import manager
from paddleseg.errors import UserError
from paddleseg.models.base import SegmentationModel
from paddleseg.models.checks import check_counts, map_channels
from paddleseg.models.layers import ConvBNReLU, to_map, to_tokens
from paddleseg.models.layers.interpolate import interpolate


@manager.MODELS.add_component
class SegFormer(SegmentationModel):
    """SegFormer: backbone, a linear layer on each of its four maps, and a classifier of all of them.

    Xie et al., "SegFormer: Simple and Efficient Design for Semantic Segmentation with Transformers",
    https://arxiv.org/abs/2105.15203, section 3.2. Keys, arithmetic and constructor are PaddleSeg's. `forward`
    gives one output; see `SegmentationModel`.

    Args:
        backbone: one with four feature maps, such as a `MixVisionTransformer_B0`.
        embedding_dim: channels of every map behind its linear layer: 256 for B0 and B1, 768 for B2 to B5.
        align_corners: as in `paddle.nn.functional.interpolate`, for the maps and for the logits.

    Raises:
        UserError: a backbone of another number of maps, channels below 1, weights that do not match.
    """

    def __init__(
        self,
        num_classes: int,
        backbone: nn.Layer,
        embedding_dim: int,
        align_corners: bool = False,
        pretrained: Optional[str] = None,
    ):
        super().__init__(backbone, align_corners)
        in_channels = map_channels(backbone)
        if len(in_channels) != 4:
            raise UserError(
                f"SegFormer needs a backbone with four feature maps; {type(backbone).__name__} has "
                f"{len(in_channels)}"
            )
        check_counts("embedding_dim", embedding_dim)
        # The order of published weights: the deepest map first.
        for i, channels in list(enumerate(in_channels))[::-1]:
            self.add_sublayer(f"linear_c{i + 1}", MLP(channels, embedding_dim))
        self.dropout = nn.Dropout2D(0.1)
        self.linear_fuse = ConvBNReLU(4 * embedding_dim, embedding_dim, 1, bias_attr=False)
        self.linear_pred = nn.Conv2D(embedding_dim, num_classes, 1)
        self.load(pretrained)

    def decode(self, features):
        size = features[0].shape[2:]
        maps = [getattr(self, f"linear_c{i + 1}")(x) for i, x in enumerate(features)]
        resized = [
            interpolate(x, size, mode="bilinear", align_corners=self.align_corners) for x in maps[:0:-1]
        ]
        fused = self.linear_fuse(paddle.concat([*resized, maps[0]], axis=1))
        return [self.linear_pred(self.dropout(fused))]


class MLP(nn.Layer):
    """A linear layer on the channels of each pixel: N x input_dim x h x w to N x embed_dim x h x w.

    Leaves the `grid` of its tokens, (h, w), on itself.

    Args:
        input_dim, embed_dim: channels before and after.
    """

    def __init__(self, input_dim, embed_dim):
        super().__init__()
        self.proj = nn.Linear(input_dim, embed_dim)

    def forward(self, x):
        self.grid = (x.shape[2], x.shape[3])
        return to_map(self.proj(to_tokens(x)), self.grid)
