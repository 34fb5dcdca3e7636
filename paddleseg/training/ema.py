"""The exponential moving average of a model's weights."""

import paddle

from paddleseg import parallel
from paddleseg.parallel.statistics import averaged_over_ranks, holding, untrained

DECAY = 0.999


class Ema:
    """Keeps e = d e + (1 - d) w of every floating-point weight and running statistic, beside the model.

    At iteration i the decay d is min(1 - 1 / (i + 1), decay), as in PaddleSeg: an average of all weights so
    far at first, an exponential one later.

    Args:
        model: the model; the average starts from its weights.
        decay: what d rises to.
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
        """Take in the weights that iteration `iteration`, counted from 1, has left.

        Args:
            iteration: counted from 1.
            ok: float32 scalar tensor: 1 takes them in, 0 leaves the average as it is.
        """
        taken = ok * max(1 / (iteration + 1), 1 - self.decay)
        kept = 1 - taken
        own = self.model.state_dict()
        if parallel.on_cpu():
            # Reading costs nothing there, and a tensor is scaled by a number faster than by another tensor.
            taken, kept = float(taken), float(kept)
            for key, average in self._average.items():
                average.scale_(kept).add_(own[key].scale(taken))
            return
        for key, average in self._average.items():
            dtype = average.dtype
            average.multiply_(kept.astype(dtype)).add_(own[key] * taken.astype(dtype))

    def holding(self):
        """Return a context in which the model holds the average, its statistics averaged over the ranks."""
        return holding(self.model, self._shared())

    def state_dict(self):
        """Return the averaged model's state dict, its statistics averaged over the ranks."""
        return {**self.model.state_dict(), **self._shared()}

    def untrained(self):
        """Return {key: tensor} of the averages of what each rank has for itself."""
        return {key: self._average[key] for key in untrained(self.model) if key in self._average}

    def set_state_dict(self, values):
        """Take {key: array} back."""
        for key, average in self._average.items():
            if key in values:
                average.set_value(values[key])

    def _shared(self):
        return {**self._average, **averaged_over_ranks(self.untrained())}
