"""A ring buffer of the latest vectors of each class, stored in a layer's buffers."""

import paddle
import paddle.nn as nn

from paddleseg.losses.common import unit


class ClassQueue(nn.Layer):
    """The `size` latest vectors of each of K classes; the host never reads them.

    As in CIRKD, the queue begins full of random directions, drawn from Paddle's generator. Both buffers are
    persistent, so that a resumed run goes on with the same vectors.

    Args:
        num_classes: K.
        size: vectors of each class.
        channels: C, the length of a vector.

    Attributes:
        vectors: (K * size) x C, class after class.
        cursor: K, int64: the place that each class writes next.
    """

    def __init__(self, num_classes, size, channels):
        super().__init__()
        self.size = size
        self.num_classes = num_classes
        self.register_buffer("vectors", unit(paddle.randn([num_classes * size, channels]), axis=1))
        self.register_buffer("cursor", paddle.zeros([num_classes], dtype="int64"))
        self._overwritten = None  # a list within a training step

    @paddle.no_grad()
    def begin_step(self):
        """Record from now on what is overwritten; see `parallel.statistics.memories`."""
        self._overwritten = []

    @paddle.no_grad()
    def end_step(self, good):
        """Keep what was written since `begin_step`, or undo it.

        Args:
            good: whether to keep it: a bool, or a tensor of one, which the host does not read.
        """
        if good is not True:
            good = paddle.to_tensor(good) if isinstance(good, bool) else good
            for places, old, cursor in reversed(self._overwritten):
                self.vectors.scatter_(places, paddle.where(good, self.vectors.gather(places), old))
                paddle.assign(paddle.where(good, self.cursor, cursor), self.cursor)
        self._overwritten = None

    @paddle.no_grad()
    def push(self, vectors, valid):
        """Write up to M vectors of each class over its oldest ones.

        As in CIRKD's queues, a class does not write around the end: vectors that do not fit before the end
        take the last places, and the next vector takes the first.

        Args:
            vectors: K x M x C, M at most `size`.
            valid: K x M, bool: which of them to write; those of a class come before the others.
        """
        K, M, C = vectors.shape
        count = valid.astype("int64").sum(axis=1)
        at_end = self.cursor + count >= self.size
        start = paddle.where(at_end, self.size - count, self.cursor)
        # M different places, of which only the first `count` change.
        places = (start.unsqueeze(1) + paddle.arange(M)) % self.size
        places = (places + self._offsets()).flatten()
        new = vectors.astype(self.vectors.dtype).reshape([K * M, C])
        old = self.vectors.gather(places)
        if self._overwritten is not None:
            self._overwritten.append((places, old, self.cursor.clone()))
        self.vectors.scatter_(places, paddle.where(valid.reshape([K * M, 1]), new, old))
        paddle.assign(paddle.where(at_end, paddle.zeros_like(count), self.cursor + count), self.cursor)

    @paddle.no_grad()
    def sample(self, count):
        """Return (K * count) x C: `count` places, drawn without repetition, the same in each class."""
        places = paddle.randperm(self.size)[:count]
        return self.vectors.gather((places + self._offsets()).flatten())

    def _offsets(self):
        return (paddle.arange(self.num_classes) * self.size).unsqueeze(1)
