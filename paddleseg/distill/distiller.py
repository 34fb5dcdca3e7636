"""Distillation of layers that a script has made, without a config."""

import contextlib
import dataclasses

import numpy as np
import paddle
import paddle.nn as nn

from paddleseg.datasets.dataset import ignored_label
from paddleseg.distill.arguments import (
    as_images,
    as_label,
    check_choice,
    check_models,
    checked_features,
    trial_images,
    unlabeled_per_batch,
)
from paddleseg.distill.build import prepare_teachers
from paddleseg.distill.features import declared_taps
from paddleseg.distill.given_losses import ignored_label_of, loss_section, with_ignored
from paddleseg.distill.outputs import counterparts
from paddleseg.distill.plan import check_teachers_used, check_weighting
from paddleseg.distill.probe import (
    check_logits,
    feature_losses,
    observe,
    training_without_traces,
    try_distill_loss,
    try_task_loss,
)
from paddleseg.distill.step import DistillNet, DistillStep
from paddleseg.distill.taps import Taps
from paddleseg.distill.teachers import Teacher, Teachers, check_engine
from paddleseg.errors import UserError
from paddleseg.options import DistillOptions
from paddleseg.options.base import options_of
from paddleseg.training import starting
from paddleseg.training.script_run import ScriptRun, fit_script, start_script
from paddleseg.utils.logger import logger

# Fields of `DistillOptions` that a script states otherwise.
_ELSEWHERE = {
    "distill_config": "a script gives features=[Feature(...)] to Distiller",
    "allow_random_teacher": "a script gives the teacher itself, with whatever weights it has",
    "log_config": "there is no config to log; run.yml in save_dir describes the training",
}


_OF_FEATURE = ("loss", "weight", "share", "connector", "teacher_index")  # as they are in a config


class Distiller(nn.Layer):
    """A student and its frozen teachers with all losses between them.

        distiller = Distiller(student, teacher, loss=nn.CrossEntropyLoss(axis=1),
                              logits=[("SegChannelwiseLoss", 3)],
                              features=[Feature("body", "body", "SegChannelwiseLoss", weight=1.0)])
        optimizer = paddle.optimizer.SGD(0.01, parameters=distiller.parameters())
        for images, labels in loader:
            losses = distiller(images, labels)
            losses["loss"].backward()
            optimizer.step()
            optimizer.clear_grad()

    The models are any layers that map images to a tensor of logits or a list of them, the main one first.
    They run once on trial images, so that connectors are made, and errors are found, before the training.
    This changes no weight and no statistic of the student.

    The teachers' parameters are frozen, and the teachers compute in eval mode and without gradients. They are
    no part of this layer: `parameters()` and `state_dict()` have the student, the connectors, and losses with
    parameters.

    Args:
        student: a `paddle.nn.Layer`; it is put into training mode.
        teacher: a layer, or a list of several.
        loss: between the student's logits and the label: a loss, its name, a pair (loss, weight), a list of
            these, or PaddleSeg's {'types': [...], 'coef': [...]}. A weight may be a list of one weight for
            each output of the student. None for no such loss. Default None.
        logits: the same between the logits of student and teacher; a weight may be "auto", see `measure`.
            Default none.
        features: a list of `Feature`. Default none.
        images: images of the trial, N x C x H x W, or their shape (C, H, W). Default: random ones of 64 x 64
            pixels, with the channels that the student's first convolution takes.
        num_classes: the number of classes. Default: the channels of the student's first output.
        ignore_index: the label of pixels that no loss counts. Default: that of the first loss with one of 0
            or above, else 255. `paddle.nn.CrossEntropyLoss` ignores these pixels, too.
        logits_at: where `logits` compares: "full", at the size at which the models return them, or "head",
            where sizes may differ. Default "full".
        teacher_weighting: how the logits of several teachers are joined: "mean" or "confidence". Default
            "mean".

    Attributes:
        student: the student.
        extra: connectors and losses with parameters or buffers, as one layer; None without any.
        teachers: the list of the teachers' layers.
        iteration: how many batches were trained on, for schedules. `fit` counts for itself.

    Raises:
        UserError: an argument is wrong, names something that the models do not have, or does not fit them.
    """

    def __init__(
        self,
        student,
        teacher,
        loss=None,
        logits=None,
        features=(),
        images=None,
        num_classes=None,
        ignore_index=None,
        logits_at="full",
        teacher_weighting="mean",
    ):
        super().__init__()
        teachers = list(teacher) if isinstance(teacher, (list, tuple)) else [teacher]
        features = checked_features(features, len(teachers))
        check_models(student, teachers)
        check_choice("logits_at", logits_at, ("full", "head"))
        check_choice("teacher_weighting", teacher_weighting, ("mean", "confidence"))
        check_teachers_used(len(teachers), bool(logits), features, "features")
        check_weighting(teacher_weighting, len(teachers), bool(logits), "teacher_weighting")
        if not (loss or logits or features):
            raise UserError("there is nothing to train by: give a loss, logits or features")
        self.ignore_index = ignored_label_of(loss) if ignore_index is None else ignore_index
        self.logits_at = logits_at
        self.student = student
        self.iteration = 0
        self._features = features
        self._teachers = _frozen(teachers, features, teacher_weighting if logits else None, self)
        self._taps = Taps(student, "student", None, declared_taps(features, "student"))
        observed = self._observe(images)
        self.num_classes = observed.student[0][0].shape[1] if num_classes is None else num_classes
        observed = dataclasses.replace(observed, label=self._trial_label(observed))
        self._loss = self._task_section(loss, observed)
        self._distill_loss = self._logits_section(logits, observed)
        self._feature_losses = feature_losses(features, observed, self.num_classes, self.ignore_index)
        self._step = self._make_step()
        if self._step.unmeasured and not self._loss["types"]:
            raise UserError("a weight is auto, and there is no loss of the labels to measure it by")
        self.extra = self._step.trained.extra
        self.train()

    @property
    def teachers(self):
        """The teachers' layers."""
        return [teacher.model for teacher in self._teachers.teachers]

    @property
    def measured_weights(self):
        """The weights that are "auto", {name: number}, as the log states them; {} until they are measured."""
        return self._step.measured()

    def __setattr__(self, name, value):
        if name == "forward":  # which `paddle.jit.to_static` sets
            raise UserError(
                "a Distiller cannot be compiled as a whole, since its teachers and losses are no one graph; "
                "fit(to_static_training=True) compiles the student"
            )
        super().__setattr__(name, value)

    def forward(self, images, labels=None, iteration=None):
        """Return {"loss": the sum, name: loss, ...} of scalar tensors, each loss times its weight.

        Args:
            images: float32 N x C x H x W, a tensor or an array.
            labels: whole numbers, N x H x W or N x 1 x H x W. With fewer labels than images, they are those
                of the first images. None for images without labels. Default None.
            iteration: the number of this iteration, counted from 1, for schedules. Default: in training mode
                each call counts as one.

        Raises:
            UserError: images or labels have another form, or a loss refuses them.
        """
        batch = self._batch(images, labels)
        if iteration is None:
            self.iteration += int(self.training)
            iteration = max(self.iteration, 1)
        if self._step.unmeasured:
            if not self.training:
                raise UserError("a weight that is auto is not known yet; train, or call measure(batches)")
            self.measure([(images, labels)])
        return self._step({**batch, "iteration": iteration})

    def measure(self, batches):
        """Measure the weights that are "auto"; see `AutoWeights`. The log states them.

        Without this call, the first batch of a loop is measured, and `fit` measures its first ten. Weights of
        the models, statistics and random numbers stay as they are. Once the weights are known, nothing is
        done.

        Args:
            batches: a list of pairs (images, labels), each as `forward` takes it.

        Raises:
            UserError: there is no batch, a batch has no labels, or no weight can be found.
        """
        if not self._step.unmeasured:
            return
        with training_without_traces(self._step.trained), paddle.enable_grad():
            for images, labels in batches:
                batch = self._batch(images, labels)
                if labels is None:
                    raise UserError("a weight that is auto is measured with labels, and this batch has none")
                self._step.measure(batch, scaled=lambda loss: loss)
        self._step.settle()

    def fit(
        self,
        train_dataset,
        val_dataset=None,
        *,
        optimizer,
        iters,
        batch_size=2,
        save_dir="./output",
        test_config=None,
        unlabeled_dataset=None,
        unlabeled_share=0.5,
        **options,
    ):
        """Train by the trainer of the commands: checkpoints, resume, evaluations, moving average and so on.

        Args:
            train_dataset: a map-style data set, whose samples are dicts with "img" (C x H x W) and "label"
                (H x W), or pairs of them. Its order depends on `seed` alone.
            val_dataset: a data set to evaluate on at every `save_interval`. If it has `num_classes`, so many
                classes are scored, else those of this distiller. None trains without evaluations. Default
                None.
            optimizer: of `parameters()`. If its learning rate is a schedule, that advances each iteration.
            iters: the number of iterations.
            batch_size: samples per iteration and process. Default 2.
            save_dir: where weights and logs go. Default "./output".
            test_config: a dict of arguments of `EvalConfig`, such as is_slide. Default None: whole images.
            unlabeled_dataset: images without labels. Default None.
            unlabeled_share: their share of each batch, above 0 and up to 1. Default 0.5.
            **options: fields of `DistillOptions`, such as seed, resume_model="auto", use_ema, precision,
                accumulate_steps, save_interval and teacher_cache. The defaults of teacher_engine and
                conv_engine are "paddle" here.

        Returns:
            {"best_miou": ..., "best_iter": ..., "best_class_iou": ...}; {} where nothing was evaluated.

        Raises:
            UserError: an argument is wrong, or the training cannot go on.
            Stopped: a signal came, such as a notebook's stop button; everything is saved.
        """
        options = {"save_dir": save_dir, "teacher_engine": "paddle", "conv_engine": "paddle", **options}
        options = options_of(DistillOptions, "fit", _ELSEWHERE, **options)
        check_engine(options.teacher_engine)
        unlabeled = unlabeled_per_batch(unlabeled_dataset, unlabeled_share, batch_size)
        datasets = (train_dataset, val_dataset, unlabeled_dataset if unlabeled else None)
        run = ScriptRun(
            self.student,
            *datasets,
            optimizer=optimizer,
            test_config=test_config,
            iters=iters,
            batch_size=batch_size,
            num_classes=self.num_classes,
            unlabeled_per_batch=unlabeled,
            **self._sections(),
        )
        start_script(options, self.student, *self.teachers)
        self._warn_of_other_label(train_dataset)
        starting.look_at_data(run, options, bool(unlabeled), run.cfg.has_labels)
        step = self._make_step(options.to_static_training, unlabeled)
        step.take_measured(self._step.measured())
        if step.unmeasured and not run.cfg.has_labels:
            raise UserError("unlabeled_share: a weight that is auto is measured with labels; there are none")
        with self._engines_restored(), contextlib.ExitStack() as end:
            prepare_teachers(step, run, self._features, options)
            if step.cache is not None:
                end.callback(step.cache.log_total)
            end.callback(lambda: self._step.take_measured(step.measured()))
            return fit_script(step, run, options)

    def _batch(self, images, labels):
        images = as_images(images)
        for teacher in self.teachers:
            # Somebody may have put it, or a part of it, into training mode.
            if any(layer.training for layer in teacher.sublayers(include_self=True)):
                teacher.eval()
        return {"img": images, **({} if labels is None else {"label": as_label(labels, len(images))})}

    def _observe(self, images):
        images = trial_images(self.student, images)
        try:
            batch = {"img": images}
            return observe(self.student, self._taps, self._teachers.teachers, batch, self.logits_at)
        except UserError as error:
            size = " x ".join(map(str, images.shape))
            raise UserError(f"{error} (in a trial on images {size}; images=... tries others)") from error

    def _trial_label(self, observed):
        """Return random labels of the size of the student's first output."""
        shape = observed.student[0][0].shape
        classes = np.random.default_rng(0).integers(0, max(self.num_classes, 2), [shape[0], *shape[2:]])
        return paddle.to_tensor(classes.astype("int64"))

    def _available(self):
        return {"num_classes": self.num_classes, "ignore_index": self.ignore_index}

    def _task_section(self, given, observed):
        section = loss_section(given, len(observed.student[0]), "loss", "label", self._available())
        section = with_ignored(section, self.ignore_index)
        try_task_loss(section, observed)
        return section

    def _logits_section(self, given, observed):
        if not given:
            return None
        if not observed.teacher_logits:
            raise UserError("logits: no teacher gives logits, so there are only features to compare")
        check_logits(observed, self.logits_at)
        teachers = counterparts(*observed.teacher_logits.values())
        pairs = counterparts(observed.student[0], teachers)
        channels = dict.fromkeys(("student_channels", "teacher_channels"), self.num_classes)
        section = loss_section(given, len(pairs), "logits", "teacher", {**self._available(), **channels})
        try_distill_loss(section, observed, self.logits_at, self.num_classes, place="logits")
        return section

    def _make_step(self, to_static=False, unlabeled=0):
        net = DistillNet(
            self.student,
            self._taps,
            self._loss,
            self._distill_loss,
            self._feature_losses,
            self.logits_at,
            to_static,
            lambda *keys: "logits",
        )
        return DistillStep(net, self._teachers, unlabeled)

    @contextlib.contextmanager
    def _engines_restored(self):
        """Let the teachers compute after this context as they did before it."""
        before = [(teacher, teacher.engine) for teacher in self._teachers.teachers]
        try:
            yield
        finally:
            for teacher, engine in before:
                teacher.engine, teacher.cache = engine, None

    def _sections(self):
        """Return what decides the losses, by the names of a config's sections."""
        features = [
            {
                **{name: getattr(feature, name) for name in _OF_FEATURE},
                "student": str(feature.student),
                "teacher": str(feature.teacher),
                "schedule": dataclasses.asdict(feature.schedule),
            }
            for feature in self._features
        ]
        return {
            "loss": self._loss,
            "distill_loss": self._distill_loss,
            "distill": {"features": features, "logits_at": self.logits_at},
            "ignore_index": self.ignore_index,
        }

    def _warn_of_other_label(self, dataset):
        own = ignored_label(dataset)
        if own != self.ignore_index and hasattr(dataset, "ignore_index"):
            logger.warning(
                f"train_dataset ignores the label {own} and the losses {self.ignore_index}; give Distiller "
                f"ignore_index={own}"
            )


def _frozen(models, features, weighting, distiller):
    """Return the `Teachers` of some layers."""
    teachers = [Teacher(model, None, declared_taps(features, "teacher", k)) for k, model in enumerate(models)]
    return Teachers(teachers, weighting, distiller.ignore_index, distiller.logits_at)
