"""Attention of each pixel of one map to the pixels of another."""

import paddle
import paddle.nn as nn
import paddle.nn.functional as F

from paddleseg.models.layers.conv import ConvBNReLU


class AttentionBlock(nn.Layer):
    """Scaled dot-product attention between the pixels of a query map and those of a key map.

    Vaswani et al., "Attention Is All You Need", https://arxiv.org/abs/1706.03762. `forward(query_feats,
    key_feats)` maps N x query_in_channels x H x W and N x key_in_channels x h x w to
    N x out_channels x H x W.

    Args:
        key_in_channels, query_in_channels: channels of the two maps.
        channels: channels of the projected keys and queries, and of the values if `with_out`.
        out_channels: channels of the result.
        share_key_query: whether keys and queries have one projection; their channels must be equal.
        query_downsample: a layer for the projected queries, which must not change their size; or None.
        key_downsample: a layer for the projected keys and values, such as a pooling; or None.
        key_query_num_convs, value_out_num_convs: the number of 1x1 convolutions of each projection.
        key_query_norm, value_out_norm: whether batch norm and ReLU follow each of these.
        matmul_norm: whether similarities are divided by the square root of `channels`.
        with_out: whether the result is projected once more.
    """

    def __init__(
        self,
        key_in_channels,
        query_in_channels,
        channels,
        out_channels,
        share_key_query,
        query_downsample,
        key_downsample,
        key_query_num_convs,
        value_out_num_convs,
        key_query_norm,
        value_out_norm,
        matmul_norm,
        with_out,
    ):
        super().__init__()
        if share_key_query and key_in_channels != query_in_channels:
            raise ValueError(
                f"share_key_query needs keys and queries of equal channels, not {key_in_channels} and "
                f"{query_in_channels}"
            )
        self.with_out = with_out
        self.key_in_channels = key_in_channels
        self.query_in_channels = query_in_channels
        self.out_channels = out_channels
        self.channels = channels
        self.share_key_query = share_key_query
        self.matmul_norm = matmul_norm
        of_keys = {"num_convs": key_query_num_convs, "use_conv_module": key_query_norm}
        of_values = {"num_convs": value_out_num_convs, "use_conv_module": value_out_norm}
        self.key_project = self.build_project(key_in_channels, channels, **of_keys)
        self.query_project = (
            self.key_project
            if share_key_query
            else self.build_project(query_in_channels, channels, **of_keys)
        )
        value_channels = channels if with_out else out_channels
        self.value_project = self.build_project(key_in_channels, value_channels, **of_values)
        self.out_project = self.build_project(channels, out_channels, **of_values) if with_out else None
        self.query_downsample = query_downsample
        self.key_downsample = key_downsample

    def build_project(self, in_channels, channels, num_convs, use_conv_module):
        """Return `num_convs` 1x1 convolutions, each with batch norm and ReLU if `use_conv_module`."""
        inputs = [in_channels] + [channels] * (num_convs - 1)
        if use_conv_module:
            convs = [ConvBNReLU(before, channels, 1, bias_attr=False) for before in inputs]
        else:
            convs = [nn.Conv2D(before, channels, 1) for before in inputs]
        return convs[0] if len(convs) == 1 else nn.Sequential(*convs)

    def forward(self, query_feats, key_feats):
        query = self.query_project(query_feats)
        key, value = self.key_project(key_feats), self.value_project(key_feats)
        if self.query_downsample is not None:
            query = self.query_downsample(query)
        if self.key_downsample is not None:
            key, value = self.key_downsample(key), self.key_downsample(value)
        similarity = paddle.matmul(query.flatten(2), key.flatten(2), transpose_x=True)
        if self.matmul_norm:
            similarity = similarity * self.channels**-0.5
        context = paddle.matmul(value.flatten(2), F.softmax(similarity, axis=-1), transpose_y=True)
        context = context.reshape([0, value.shape[1], *query_feats.shape[2:]])
        return context if self.out_project is None else self.out_project(context)
