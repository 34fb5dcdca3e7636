"""A ring of the latest vectors of each class, which lives in a layer's buffers."""

import paddle
import paddle.nn as nn

from paddleseg.losses.distance import unit


class ClassQueue(nn.Layer):
    """The `size` latest vectors of each of K classes; nothing of it is ever read by the host.

    It begins full of random directions, drawn from Paddle's generator, as CIRKD's queues do. Both buffers
    are persistent, so that a run that is resumed goes on with the same vectors.

    Args:
        num_classes: K.
        size: vectors of each class.
        channels: C, the length of a vector.

    Attributes:
        vectors: (K * size) x C, class after class.
        cursor: K, int64: the place in its class that each class writes next.
    """

    def __init__(self, num_classes, size, channels):
        super().__init__()
        self.size = size
        self.num_classes = num_classes
        self.register_buffer("vectors", unit(paddle.randn([num_classes * size, channels]), axis=1))
        self.register_buffer("cursor", paddle.zeros([num_classes], dtype="int64"))
        self._overwritten = None  # outside a training step nothing is to be put back

    @paddle.no_grad()
    def begin_step(self):
        """Remember from now on what is overwritten; see `core.statistics.memories`."""
        self._overwritten = []

    @paddle.no_grad()
    def end_step(self, good):
        """Forget what was overwritten, or put it back.

        Args:
            good: whether the step was: a bool, or a tensor of one, which the host does not read.
        """
        if good is not True:
            kept = paddle.to_tensor(good) if isinstance(good, bool) else good
            for places, old, cursor in reversed(self._overwritten):
                self.vectors.scatter_(places, paddle.where(kept, self.vectors.gather(places), old))
                paddle.assign(paddle.where(kept, self.cursor, cursor), self.cursor)
        self._overwritten = None

    @paddle.no_grad()
    def push(self, vectors, valid):
        """Write up to M vectors of each class over its oldest ones.

        As in CIRKD's queues a class does not write around the end: what does not fit before it takes the
        last places, and the next vector the first.

        Args:
            vectors: K x M x C, M at most `size`.
            valid: K x M, bool: which of them there are, the valid ones of a class before the others.
        """
        K, M, C = vectors.shape
        count = valid.astype("int64").sum(axis=1)
        at_end = self.cursor + count >= self.size
        start = paddle.where(at_end, self.size - count, self.cursor)
        # The places are M different ones, though only the first `count` change.
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
        """Return (K * count) x C: `count` places drawn without repetition, the same ones of each class."""
        places = paddle.randperm(self.size)[:count]
        return self.vectors.gather((places + self._offsets()).flatten())

    def _offsets(self):
        return (paddle.arange(self.num_classes) * self.size).unsqueeze(1)
