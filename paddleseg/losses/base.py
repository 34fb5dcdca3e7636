"""The base classes of the losses: a loss function with its hyperparameters."""

import paddle
import paddle.nn as nn


class Loss(nn.Layer):
    """A loss function with its hyperparameters, which are also attributes.

    A derived class sets `function`. Its constructor names each hyperparameter, with type and default, since
    the config checker reads this signature; it checks their values, and passes them on.

    Args:
        **hyperparameters: arguments of `function`. A tensor becomes a buffer that no checkpoint stores.

    Attributes:
        against: "label" or "teacher", the second argument of the loss.
        function: the loss as a pure function.
    """

    against = None
    function = None

    def __init__(self, **hyperparameters):
        super().__init__()
        self.hyperparameters = list(hyperparameters)
        for name, value in hyperparameters.items():
            if isinstance(value, paddle.Tensor):
                self.register_buffer(name, value, persistable=False)
            else:
                setattr(self, name, value)

    def compute(self, *tensors, **options):
        """Call `function` with the tensors, the options and the hyperparameters; return the scalar tensor."""
        hyperparameters = {name: getattr(self, name) for name in self.hyperparameters}
        return self.function(*tensors, **options, **hyperparameters)


class TaskLoss(Loss):
    """A loss of logits and a label.

    Args:
        ignore_index: the label of pixels that are left out. Default 255.
    """

    against = "label"

    def forward(self, logits, label):
        """Return the loss, a scalar, of logits N x C x ... and label N x ... (int64)."""
        return self.compute(logits, label)


class DistillationLoss(Loss):
    """A loss of the student's and the teacher's tensor, of the shapes that `function` takes.

    These arguments, and those of `MaskedLoss`, are described once for all derived classes that take them.

    Args:
        student_channels, teacher_channels: C of the two features; filled in under `distill.features`.
    """

    against = "teacher"

    def forward(self, student, teacher):
        """Return the loss, a scalar, of two tensors N x C x ..."""
        return self.compute(student, teacher)


class MaskedLoss(DistillationLoss):
    """A loss of the student's and the teacher's tensor that leaves out the pixels that a label ignores.

    Args:
        num_classes: the number of classes.
        ignore_index: the label of pixels that are left out, where a label is given. Default 255.
    """

    def forward(self, student, teacher, label=None):
        """Return the loss, a scalar, of two tensors N x C x ... and a label, N x ... (int64)."""
        return self.compute(student, teacher, label=label)
