"""The registry of engines, which compute the outputs of frozen teachers, and Paddle's own engine."""

from paddleseg.distill.moments import Moment
from paddleseg.distill.outputs import head_logits

ENGINES = {}


def register_engine(engine):
    """Register a class derived from `Engine` under its name, and return the class (a decorator)."""
    ENGINES[engine.name] = engine
    return engine


class Engine:
    """What computes a teacher's outputs; `choose_engines` gives each teacher the fastest one that agrees.

    An engine is called as `engine(images) -> (list of logits, {name or Tap: tensor})`, with images
    N x 3 x H x W, float32. The logits have the size at which the model's head gives them, and all tensors are
    on Paddle's device, without gradients.

    Attributes:
        name: its name in the registry and in the option `teacher_engine`.
        automatic: whether `teacher_engine` "auto" tries it. Default True.
        cpu_only: whether it computes on the CPU alone, and so refuses any other device. Default False.
    """

    name = None
    automatic = True
    cpu_only = False

    @classmethod
    def why_not(cls, teacher):
        """Return why it cannot compute a `Teacher` on this machine, such as a missing package, or None."""
        return

    @classmethod
    def build(cls, teacher, reference):
        """Return an engine for a teacher.

        Args:
            teacher: a `Teacher`, computed by Paddle so far.
            reference: the `Reference` of the teacher: what Paddle gives, to compare a stored file with.

        Raises:
            UserError: it cannot compute this teacher.
        """
        raise NotImplementedError

    def __call__(self, images):
        """Return (list of logits, {name or `Tap`: tensor})."""
        raise NotImplementedError


@register_engine
class PaddleEngine(Engine):
    """A frozen model in eval mode, run as it is. Each teacher starts with it, so it is never built.

    With convolutions by oneDNN, batch norm and ReLU become part of the convolution before them
    (`onednn.freeze`). With Paddle's they stay separate layers: folded into its convolution, batch norm
    leaves a bias, which Paddle's eager mode adds in a pass that takes longer than batch norm does.

    The images stay as they are for the student: a model that overwrites them in place gets a copy, and the
    first pass shows whether it does.

    Args:
        model: a `paddle.nn.Layer`.
        taps: its `Taps`.
    """

    name = "paddle"

    def __init__(self, model, taps):
        self._model = model
        self._taps = taps
        self._overwrites = None  # unknown before the first pass

    def __call__(self, images):
        own_images = images if self._overwrites is False else images.clone()
        given = Moment(own_images, copied=self._overwrites is None)
        logits = head_logits(self._model, own_images, whole=self._taps.of_forward)
        if self._overwrites is None:
            self._overwrites = bool(given.overwritten())
        return logits, self._taps.read()
