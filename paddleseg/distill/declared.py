"""What is to be distilled of the features, as a config or a `distill_config.py` declares it."""

from dataclasses import dataclass, field
from typing import Callable, Optional, Union

from paddleseg.cvlibs.check_distill import PLACES
from paddleseg.distill.taps import Tap


@dataclass(frozen=True)
class Schedule:
    """How the weight of a loss runs over the iterations, counted from 1.

    Args:
        start_iter: up to this iteration the loss is not computed. Default 0.
        warmup_iters: then the weight rises linearly for so many iterations, in the last of which it is
            whole. Default 0: it is whole at once.
        end_iter: after this iteration the weight is multiplied by `end_factor`; None goes on to the end.
        end_factor: of 0 or above. Default 0: the loss is not computed any more.
    """

    start_iter: int = 0
    warmup_iters: int = 0
    end_iter: Optional[int] = None
    end_factor: float = 0.0

    def factor(self, iteration):
        """Return what the weight is multiplied by in an iteration; 0.0 where the loss rests."""
        if iteration <= self.start_iter:
            return 0.0
        factor = min(1.0, (iteration - self.start_iter) / max(self.warmup_iters, 1))
        over = self.end_iter is not None and iteration > self.end_iter
        return factor * self.end_factor if over else factor

    @property
    def always_on(self):
        """Whether the loss is computed in every iteration."""
        return self.start_iter == 0 and (self.end_iter is None or self.end_factor > 0)


@dataclass(frozen=True)
class Feature:
    """A loss between a tensor of the student and one of a teacher.

    Args:
        student, teacher: keys of what `Taps.read` returns: a `Tap`, or a name that an adaptor gives.
        loss: `{type: ..., key: value}`.
        place: `place(*keys)` is where this, or a key below it, was written, for messages.
        weight: of the loss.
        connector: "none", "auto" or `{type: ..., key: value}`.
        schedule: a `Schedule`.
        teacher_index: which of several teachers.
    """

    student: Union[str, Tap]
    teacher: Union[str, Tap]
    loss: dict
    place: Callable
    weight: float = 1.0
    connector: Union[str, dict] = "none"
    schedule: Schedule = field(default_factory=Schedule)
    teacher_index: int = 0

    @property
    def name(self):
        """What the log calls it, such as "hidden_0_SegChannelwiseLoss"."""
        return f"{getattr(self.student, 'label', self.student)}_{self.loss['type']}"


def features_of_config(cfg):
    """Return the `Feature`s of a checked config's `distill.features`."""
    return [_feature(spec, cfg, i) for i, spec in enumerate(cfg.feature_specs)]


def _feature(spec, cfg, i):
    connector = spec.get("connector", "auto")
    return Feature(
        student=_tap(spec["student"]),
        teacher=_tap(spec.get("teacher") or spec["student"]),
        loss=spec["loss"],
        place=lambda *keys: cfg.place("distill", "features", i, *keys),
        weight=spec.get("weight", 1),
        connector="none" if connector is None else connector,
        schedule=Schedule(**(spec.get("schedule") or {})),
        teacher_index=spec.get("teacher_index", 0),
    )


def _tap(spec):
    if isinstance(spec, str):
        return Tap("output_of", spec)
    kind = next(key for key in PLACES if key in spec)
    return Tap(kind, spec[kind], spec.get("index"))


def declared_taps(features, role, teacher_index=0):
    """Return pairs (`Tap`, where it was written) that features ask the student, or one teacher, for."""
    return [
        (getattr(feature, role), feature.place(role))
        for feature in features
        if isinstance(getattr(feature, role), Tap)
        and (role == "student" or feature.teacher_index == teacher_index)
    ]
