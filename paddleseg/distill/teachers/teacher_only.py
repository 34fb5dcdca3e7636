"""The contract of teacher-only models: models that no step can train, since Paddle does not compute them."""

from paddleseg.models.base import SegmentationModel


class TeacherOnly(SegmentationModel):
    """A model that can be a teacher and nothing else, since something other than Paddle's layers computes it.

    A config may name it as a teacher alone. It loads its own weights, so the config names none, and it
    computes itself, so no engine is chosen for it. Its images have the student's normalisation, which
    `set_input_normalization` describes; the model undoes that normalisation and applies its own. A derived
    class defines the methods below and `head_logits`.

    Attributes:
        teacher_only: True.
        gives_logits: whether it gives logits, and not only taps. Default True.
        of_any_size: whether it takes images of any height and width. Default True.
    """

    # A class attribute, by which rooms below this one recognise such a model.
    teacher_only = True
    gives_logits = True
    of_any_size = True

    def set_input_normalization(self, mean, std):
        """Set the `mean` and `std` by which its RGB images are normalised, as `Normalize` takes them."""
        raise NotImplementedError

    @property
    def digest(self):
        """The SHA-256 of its weights."""
        raise NotImplementedError


def is_teacher_only(model):
    """Return whether a model or its class is a `TeacherOnly`."""
    return getattr(model, "teacher_only", False)


def gives_logits(model):
    """Return whether a model gives logits: all do but a `TeacherOnly` that gives taps alone."""
    return getattr(model, "gives_logits", True)
