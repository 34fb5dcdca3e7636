"""The contract of models that can teach and do nothing else."""

from paddleseg.models.base import SegmentationModel


class TeacherOnly(SegmentationModel):
    """A model that can only teach, since it is computed by something else than Paddle's layers.

    A config may name it as a teacher alone. It brings its weights, so the config names none, and it computes
    itself, so no engine is chosen for it. It prepares its own images: it undoes the student's normalisation,
    which `normalized_by` describes. A derived class defines the methods below and `head_logits`.

    Attributes:
        teacher_only: True.
        of_any_size: whether it takes images of any height and width. Default True.
    """

    # A class attribute, by which rooms below this one know such a model.
    teacher_only = True
    of_any_size = True

    def normalized_by(self, mean, std):
        """Take note of the `mean` and `std`, as of `Normalize`, by which its RGB images are normalised."""
        raise NotImplementedError

    @property
    def digest(self):
        """The SHA-256 of its weights."""
        raise NotImplementedError


def only_teaches(model):
    """Return whether a model or its class is a `TeacherOnly`."""
    return getattr(model, "teacher_only", False)
