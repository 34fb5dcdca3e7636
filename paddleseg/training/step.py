"""A step: what is trained, and how one batch becomes named losses."""

import paddle.nn as nn

from paddleseg import parallel
from paddleseg.cvlibs.facts import DISTILLATION_SECTIONS
from paddleseg.datasets.loading import stack
from paddleseg.graphs.traced import Traced
from paddleseg.losses.combine import output_list, weighted_losses
from paddleseg.utils.phases import phase


class TrainedLayer(nn.Layer):
    """Everything that a training changes, as one layer: the model, and what is trained in addition to it.

    Data parallelism wraps it, the optimizer and the guard see it, and checkpoints store it. The model's
    parameters keep the names that they have in the model.

    Args:
        model: the model; it alone is evaluated and exported.
        extra: a layer that is trained, or has state, in addition to the model; None for none. Default None.
    """

    def __init__(self, model, extra=None):
        super().__init__()
        self.model = model
        self.extra = extra

    def named_parameters(self, prefix="", include_sublayers=True):
        """Yield (name, parameter): the model's under their own names, those of `extra` behind "extra.".

        The rules of an optimizer (`custom_cfg`) match the names, so the model's must not begin with "model.".
        """
        yield from self.model.named_parameters(prefix, include_sublayers)
        if self.extra is not None:
            prefix = f"{prefix}.extra" if prefix else "extra"
            yield from self.extra.named_parameters(prefix, include_sublayers)


class Step:
    """The base of all steps. The training loop knows nothing of a step but this.

    Args:
        trained: the `TrainedLayer`; its `forward` is this step's own affair.
        find_unused_parameters: whether some parameters get no gradient in some iterations, which costs
            several ranks time. Default False.

    Attributes:
        trained: the same.
        net: `trained`, wrapped for data parallelism if there are several ranks; the step calls it.
        teachers: list of the frozen `Teacher`s.
        unlabeled_per_batch: how many images of a batch come from the `unlabeled_dataset`, without a mask.
        unread_sections: sections of the config that this kind of training does not read.
        trains_logits: whether the losses reach all parameters that the logits depend on; else the logits mean
            nothing, and nothing is evaluated.
        saves_backbone: whether checkpoints hold the weights of the model's backbone in a file of its own.
        unmeasured: whether `measure` must see the first batches before the first call.
        with_keys: whether samples must have their key as "key": (view, index), the number of an augmentation
            and of an image.
    """

    teachers = ()
    unlabeled_per_batch = 0
    unread_sections = ()
    trains_logits = True
    saves_backbone = False
    with_keys = False
    unmeasured = False

    def __init__(self, trained, find_unused_parameters=False):
        self.trained = trained
        self.net = parallel.parallel_model(trained, find_unused_parameters)

    def __call__(self, batch):
        """Return {"loss": the sum, name: weighted loss, ...}, scalar tensors on the device.

        Args:
            batch: what `collate` made, as tensors, with the number of the "iteration", counted from 1.
        """
        raise NotImplementedError(f"{type(self).__name__} must define __call__")

    def collate(self, samples):
        """Return a list of samples as one batch, a dict of arrays."""
        return stack(samples)

    def identity(self):
        """Return {key: plain value} of all that decides the result in addition to config and options."""
        return {}

    def measure(self, batch, scaled):
        """Measure what depends on the first batches, without a trace in `trained`; only if `unmeasured`.

        Args:
            batch: as `__call__` takes it.
            scaled: `scaled(loss)` multiplies a loss so that its gradients do not vanish in 16 bits.
        """

    def settle(self):
        """End the measuring; afterwards the step is not `unmeasured`."""

    def measured(self):
        """Return the measured numbers, {key: number}, which a checkpoint stores."""
        return {}

    def take_measured(self, values):
        """Use what an earlier process of this training has measured, as `measured` returned it."""

    def run_record(self):
        """Return what `run.yml` says of this step, a dict of plain values."""
        return {"role": "train", "teachers": []}

    def take_cache_hit_rate(self):
        """Return the share of lookups, 0 to 1, that found their row in a cache, and start counting again.

        None without caches or lookups.
        """
        return


class SupervisedNet(TrainedLayer):
    """A model with the losses between its logits and the label.

    Args:
        model: maps N x C x H x W to a list of logits N x num_classes x H x W. Where a loss of its own takes
            it, an output may also be a list or a dict of tensors.
        loss: {"types": [loss, ...], "coef": [number, ...]}, one for each of the logits.
        to_static: whether the model's forward pass is a static graph. Default False.
    """

    def __init__(self, model, loss, to_static=False):
        super().__init__(model)
        self.loss = loss
        self._run_model = Traced(self._logits, model) if to_static else self._logits

    def forward(self, images, label):
        """Return {loss name: weighted loss} for images float32 N x C x H x W and label int64 N x H x W."""
        with phase("student"):
            # A loss takes a tuple of tensors: here the logits alone, in distillation the teacher's, too.
            outputs = [(logits,) for logits in self._run_model(images)]
        with phase("losses"):
            return weighted_losses(self.loss, outputs, label)

    def _logits(self, images):
        return output_list(self.model(images), nested=True)


class SupervisedStep(Step):
    """The losses of the task alone.

    Args:
        model, loss, to_static: as `SupervisedNet` takes them.
    """

    unread_sections = DISTILLATION_SECTIONS

    def __init__(self, model, loss, to_static=False):
        super().__init__(SupervisedNet(model, loss, to_static))

    def __call__(self, batch):
        """Return {"loss": the sum, name: weighted loss, ...}, scalar tensors.

        Args:
            batch: {"img": float32 N x C x H x W, "label": int64 N x H x W}.
        """
        parts = self.net(batch["img"], batch["label"])
        return {"loss": sum(parts.values()), **parts}
