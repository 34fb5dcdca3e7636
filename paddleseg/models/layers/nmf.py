"""Matrix decomposition as global context (the "hamburger" of SegNeXt)."""

import paddle
import paddle.nn as nn
import paddle.nn.functional as F

DEFAULTS = {
    "SPATIAL": True,
    "MD_S": 1,
    "MD_D": 512,
    "MD_R": 64,
    "TRAIN_STEPS": 6,
    "EVAL_STEPS": 7,
    "INV_T": 100,
    "ETA": 0.9,
    "RAND_INIT": True,
}
EPS = 1e-6


class NMF2D(nn.Layer):
    """The approximation of a map by a non-negative matrix factorisation of low rank, of the same shape.

    Geng et al., "Is Attention Better Than Matrix Decomposition?", https://arxiv.org/abs/2109.04553. The map,
    D x N for each sample and group, is approximated by the product of bases, D x R, and codes, N x R. Each
    forward pass begins with random bases, and improves both by the multiplicative updates of Lee and Seung.

    Args:
        args: dict of PaddleSeg's settings, any of them: `SPATIAL` (whether bases are vectors of channels, and
            not of pixels), `MD_S` (groups), `MD_R` (R), `TRAIN_STEPS` and `EVAL_STEPS` (updates), `RAND_INIT`
            (new bases in each pass; else those of the first). `MD_D`, `INV_T` and `ETA` have no effect.
    """

    def __init__(self, args=None):
        super().__init__()
        if not isinstance(args, (dict, type(None))):
            raise TypeError(f"args must be a dict, not {args!r}")
        settings = {**DEFAULTS, **(args or {})}
        self.spatial, self.groups, self.rank = (settings[key] for key in ("SPATIAL", "MD_S", "MD_R"))
        self.train_steps, self.eval_steps = settings["TRAIN_STEPS"], settings["EVAL_STEPS"]
        self.rand_init = settings["RAND_INIT"]

    def forward(self, x):
        shape, groups = x.shape, self.groups
        matrix = x.reshape([shape[0] * groups, shape[1] // groups, -1])
        if not self.spatial:
            matrix = matrix.transpose([0, 2, 1])
        bases, codes = self._factorized(matrix, self._first_bases(shape[0], matrix.shape[1]))
        matrix = paddle.bmm(bases, codes.transpose([0, 2, 1]))
        if not self.spatial:
            matrix = matrix.transpose([0, 2, 1])
        return matrix.reshape(shape)

    def _first_bases(self, samples, length):
        if self.rand_init:
            return self._random_bases(samples * self.groups, length)
        if not hasattr(self, "bases"):
            self.register_buffer("bases", self._random_bases(self.groups, length))
        return paddle.tile(self.bases, [samples, 1, 1])

    def _random_bases(self, count, length):
        return F.normalize(paddle.rand([count, length, self.rank]), axis=1)

    def _factorized(self, matrix, bases):
        """Return bases, D x R, and codes, N x R, of a matrix D x N, for each sample and group."""
        codes = F.softmax(paddle.bmm(matrix.transpose([0, 2, 1]), bases), axis=-1)
        for _ in range(self.train_steps if self.training else self.eval_steps):
            codes = _updated(codes, matrix.transpose([0, 2, 1]), bases)
            bases = _updated(bases, matrix, codes)
        return bases, _updated(codes, matrix.transpose([0, 2, 1]), bases)


def _updated(factor, matrix, other):
    """Return `factor` after a multiplicative update towards matrix = factor @ other.T."""
    numerator = paddle.bmm(matrix, other)
    denominator = paddle.bmm(factor, paddle.bmm(other.transpose([0, 2, 1]), other))
    return factor * numerator / (denominator + EPS)
