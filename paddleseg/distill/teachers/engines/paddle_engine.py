"""The teacher's own layers."""

from paddleseg.distill.outputs import head_logits


class PaddleEngine:
    """A frozen model in eval mode, run as it is.

    Batch norm stays a layer of its own. Folded into its convolution it leaves a bias, and Paddle's eager mode
    adds that in a pass of its own, which on the CPU takes longer than batch norm does.

    Args:
        model: a `paddle.nn.Layer`.
        taps: its `Taps`.
    """

    name = "paddle"

    def __init__(self, model, taps):
        self._model = model
        self._taps = taps

    def __call__(self, images):
        logits = head_logits(self._model, images, whole=self._taps.of_forward)
        return logits, self._taps.read()
