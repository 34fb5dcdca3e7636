"""Mix Transformers (MiT), the backbones of SegFormer.

Xie et al., "SegFormer: Simple and Efficient Design for Semantic Segmentation with Transformers",
https://arxiv.org/abs/2105.15203. Sublayer names are PaddleSeg's, since published
weights use them.
"""

import math
from typing import Optional, Sequence

import numpy as np
import paddle.nn as nn
import paddle.nn.functional as F

from paddleseg.models.backbones.transformer_utils import DropPath, trunc_normal_
from paddleseg.models.base import Backbone
from paddleseg.models.checks import check_dropout
from paddleseg.models.layers import to_map, to_tokens
from paddleseg.weights.load import load_weights

# By stage.
HEADS = (1, 2, 5, 8)
REDUCTIONS = (8, 4, 2, 1)
PATCHES = ((7, 4), (3, 2), (3, 2), (3, 2))  # kernel size and stride
EXPANSION = 4
DROP_PATH_RATE = 0.1
# The classifier of published ImageNet weights.
CLASSIFIER_PREFIXES = ("head.",)


def _linear(in_channels, out_channels):
    return nn.Linear(in_channels, out_channels, weight_attr=trunc_normal_)


def _conv(in_channels, out_channels, kernel_size, groups=1, **conv):
    """Return a convolution; its initial weights have the variance 2 / (kernel area * outputs of a group)."""
    deviation = math.sqrt(2 * groups / (kernel_size**2 * out_channels))
    options = {"weight_attr": nn.initializer.Normal(std=deviation), "groups": groups, **conv}
    return nn.Conv2D(in_channels, out_channels, kernel_size, **options)


class OverlapPatchEmbed(nn.Layer):
    """A strided convolution and a layer norm: a map N x in_channels x H x W to tokens N x (h * w) x dim.

    Leaves `grid`, (h, w), on itself.

    Args:
        in_channels, dim: channels before and after.
        patch_size, stride: of the convolution. With patches larger than the stride, neighbours overlap.
    """

    def __init__(self, in_channels, dim, patch_size, stride):
        super().__init__()
        self.proj = _conv(in_channels, dim, patch_size, stride=stride, padding=patch_size // 2)
        self.norm = nn.LayerNorm(dim)

    def forward(self, x):
        x = self.proj(x)
        self.grid = (x.shape[2], x.shape[3])
        return self.norm(to_tokens(x))


class Attention(nn.Layer):
    """Self-attention whose keys and values come from a map that a strided convolution has reduced.

    Maps tokens N x L x dim and their grid to N x L x dim. The convolution shortens the keys from L to
    L / reduction^2, and the products with them as well; section 3.1 of the paper.

    Args:
        dim: channels of a token.
        num_heads: number of heads, of dim / num_heads channels each.
        reduction: kernel size and stride of the convolution; 1 for none.
        qk_scale: factor on the products of queries and keys; None for 1 / sqrt(channels of a head).
        attn_drop_rate: dropout of the attention.
    """

    def __init__(self, dim, num_heads, reduction, qk_scale, attn_drop_rate):
        super().__init__()
        self._heads = num_heads
        self._head_dim = dim // num_heads
        self._scale = qk_scale or self._head_dim**-0.5
        self._reduces = reduction > 1
        self.q = _linear(dim, dim)
        self.kv = _linear(dim, 2 * dim)
        self.attn_drop = nn.Dropout(attn_drop_rate)
        self.proj = _linear(dim, dim)
        if self._reduces:
            self.sr = _conv(dim, dim, reduction, stride=reduction)
            self.norm = nn.LayerNorm(dim)

    def forward(self, x, grid):
        # N x heads x L x channels of a head
        query = self.q(x).reshape([0, 0, self._heads, self._head_dim]).transpose([0, 2, 1, 3])
        if self._reduces:
            x = self.norm(to_tokens(self.sr(to_map(x, grid))))
        pair = self.kv(x).reshape([0, 0, 2, self._heads, self._head_dim]).transpose([2, 0, 3, 1, 4])
        key, value = pair[0], pair[1]
        attention = F.softmax((query @ key.transpose([0, 1, 3, 2])) * self._scale, axis=-1)
        joined = (self.attn_drop(attention) @ value).transpose([0, 2, 1, 3]).flatten(2)
        return self.proj(joined)


class DWConv(nn.Layer):
    """A depthwise 3x3 convolution on the map of the tokens, N x L x dim to the same shape."""

    def __init__(self, dim):
        super().__init__()
        self.dwconv = _conv(dim, dim, 3, padding=1, groups=dim)

    def forward(self, x, grid):
        return to_tokens(self.dwconv(to_map(x, grid)))


class Mlp(nn.Layer):
    """Mix-FFN: two linear layers, and between them a depthwise convolution, which sees a token's neighbours.

    Maps tokens N x L x dim and their grid to N x L x dim.

    Args:
        dim, hidden: channels of a token outside and inside.
    """

    def __init__(self, dim, hidden):
        super().__init__()
        self.fc1 = _linear(dim, hidden)
        self.dwconv = DWConv(hidden)
        self.fc2 = _linear(hidden, dim)

    def forward(self, x, grid):
        return self.fc2(F.gelu(self.dwconv(self.fc1(x), grid)))


class Block(nn.Layer):
    """Attention and Mix-FFN, each behind a layer norm and added to its input: tokens N x L x dim to the same.

    Leaves the `grid` of its tokens, (h, w), on itself.

    Args:
        dim, num_heads, reduction, qk_scale, attn_drop_rate: as in `Attention`.
        drop_rate: how often stochastic depth leaves out a branch in training.
    """

    def __init__(self, dim, num_heads, reduction, qk_scale, attn_drop_rate, drop_rate):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, epsilon=1e-6)
        self.attn = Attention(dim, num_heads, reduction, qk_scale, attn_drop_rate)
        self.drop_path = DropPath(drop_rate)
        self.norm2 = nn.LayerNorm(dim, epsilon=1e-6)
        self.mlp = Mlp(dim, EXPANSION * dim)

    def forward(self, x, grid):
        self.grid = grid
        x = x + self.drop_path(self.attn(self.norm1(x), grid))
        return x + self.drop_path(self.mlp(self.norm2(x), grid))


class MixVisionTransformer(Backbone):
    """Mix Transformer, with the feature maps of its four stages; see `Backbone` for the other parameters.

    Maps N x in_channels x H x W to a list of four maps N x `feat_channels[i]` x H_i x W_i at strides 4, 8, 16
    and 32. In training, stochastic depth leaves out branches of the blocks, the first never and the last at a
    rate of 0.1.

    Args:
        img_size, num_classes: parameters of PaddleSeg without effect: images may have any size, and there is
            no classifier.
        qk_scale: factor on the products of queries and keys; None for 1 / sqrt(channels of a head).
        attn_drop_rate: dropout of the attention.

    Attributes:
        embed_dims: channels of each stage.
        depths: number of blocks of each stage.

    Raises:
        UserError: a dropout rate out of range, weights that do not match.
    """

    embed_dims: Sequence[int] = ()
    depths: Sequence[int] = ()

    def __init__(
        self,
        img_size: int = 224,
        in_channels: int = 3,
        num_classes: int = 1000,
        qk_scale: Optional[float] = None,
        attn_drop_rate: float = 0.0,
        pretrained: Optional[str] = None,
    ):
        super().__init__()
        check_dropout("attn_drop_rate", attn_drop_rate)
        self.feat_channels = list(self.embed_dims)
        drop_rates = iter(np.linspace(0, DROP_PATH_RATE, sum(self.depths)).tolist())
        for i, before in enumerate((in_channels, *self.embed_dims[:-1])):
            embed = OverlapPatchEmbed(before, self.embed_dims[i], *PATCHES[i])
            self.add_sublayer(f"patch_embed{i + 1}", embed)
        for i, (dim, depth) in enumerate(zip(self.embed_dims, self.depths)):
            options = (dim, HEADS[i], REDUCTIONS[i], qk_scale, attn_drop_rate)
            blocks = [Block(*options, next(drop_rates)) for _ in range(depth)]
            self.add_sublayer(f"block{i + 1}", nn.LayerList(blocks))
            self.add_sublayer(f"norm{i + 1}", nn.LayerNorm(dim, epsilon=1e-6))
        if pretrained is not None:
            load_weights(self, pretrained, CLASSIFIER_PREFIXES)

    def forward(self, x):
        maps = []
        for i in range(1, len(self.depths) + 1):
            embed, norm = getattr(self, f"patch_embed{i}"), getattr(self, f"norm{i}")
            x = embed(x)
            norm.grid = embed.grid
            for block in getattr(self, f"block{i}"):
                x = block(x, embed.grid)
            x = to_map(norm(x), embed.grid)
            maps.append(x)
        return maps


SMALL, LARGE = (32, 64, 160, 256), (64, 128, 320, 512)
_variant = MixVisionTransformer.variant
MixVisionTransformer_B0 = _variant("MixVisionTransformer_B0", embed_dims=SMALL, depths=(2, 2, 2, 2))
MixVisionTransformer_B1 = _variant("MixVisionTransformer_B1", embed_dims=LARGE, depths=(2, 2, 2, 2))
MixVisionTransformer_B2 = _variant("MixVisionTransformer_B2", embed_dims=LARGE, depths=(3, 4, 6, 3))
MixVisionTransformer_B3 = _variant("MixVisionTransformer_B3", embed_dims=LARGE, depths=(3, 4, 18, 3))
MixVisionTransformer_B4 = _variant("MixVisionTransformer_B4", embed_dims=LARGE, depths=(3, 8, 27, 3))
MixVisionTransformer_B5 = _variant("MixVisionTransformer_B5", embed_dims=LARGE, depths=(3, 6, 40, 3))
