"""The exponential moving average of a model's weights."""

import paddle

from paddleseg import parallel
from paddleseg.parallel.statistics import averaged_over_ranks, holding, untrained

DECAY = 0.999


class Ema:
    """Keeps the average e of each floating-point weight and running statistic w: e = d e + (1 - d) w.

    At iteration i the decay d is min(1 - 1 / (i + 1), decay), as in PaddleSeg: first the average is that of
    all weights so far, later it is exponential.

    Args:
        model: the model; the average starts from its weights.
        decay: the limit of d. Default 0.999.
    """

    def __init__(self, model, decay=DECAY):
        self.model = model
        self.decay = decay
        self._average = {
            key: value.detach().clone()
            for key, value in model.state_dict().items()
            if paddle.is_floating_point(value)
        }

    @paddle.no_grad()
    def update(self, iteration, ok):
        """Add the weights after an iteration to the average.

        Args:
            iteration: its number, counted from 1.
            ok: float32 scalar tensor: 1 adds the weights, 0 leaves the average as it is.
        """
        new_share = ok * max(1 / (iteration + 1), 1 - self.decay)
        old_share = 1 - new_share
        own = self.model.state_dict()
        if parallel.on_cpu():
            # Reading costs nothing there, and a number scales a tensor faster than a tensor does.
            new_share, old_share = float(new_share), float(old_share)
            for key, average in self._average.items():
                average.scale_(old_share).add_(own[key].scale(new_share))
            return
        for key, average in self._average.items():
            dtype = average.dtype
            average.multiply_(old_share.astype(dtype)).add_(own[key] * new_share.astype(dtype))

    def holding(self):
        """Return a context in which the model holds the average, its statistics averaged over the ranks."""
        return holding(self.model, self._shared())

    def state_dict(self):
        """Return the averaged model's state dict, its statistics averaged over the ranks."""
        return {**self.model.state_dict(), **self._shared()}

    def untrained(self):
        """Return {key: tensor} of the averages of the tensors that differ between ranks."""
        return {key: self._average[key] for key in untrained(self.model) if key in self._average}

    def set_state_dict(self, values):
        """Restore the average from {key: array}."""
        for key, average in self._average.items():
            if key in values:
                average.set_value(values[key])

    def _shared(self):
        return {**self._average, **averaged_over_ranks(self.untrained())}
